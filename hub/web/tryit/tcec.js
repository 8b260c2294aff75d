// T/CEC 102 envelopes in the browser: AES-CBC, PKCS#7, HMAC-MD5. Written out in full, because WebCrypto has no MD5 and is absent on
// plain http. Not for servers: tables and branches depend on the secrets.
"use strict";
window.tcec = (() => {
  const utf8 = (text) => new TextEncoder().encode(text);
  const text = (bytes) => new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const unbase64 = (data) => Uint8Array.from(atob(data.replace(/[\r\n\t ]/g, "")), (letter) => letter.charCodeAt(0));
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("").toUpperCase();
  const join = (...parts) => Uint8Array.from(parts.flatMap((part) => Array.from(part)));

  // ---------------------------------------------------------------------------------------------------- MD5 (RFC 1321)
  const TURNS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
  const SINES = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) >>> 0);

  function md5(message) {
    const length = message.length;
    const padded = new Uint8Array((((length + 8) >> 6) + 1) << 6);
    padded.set(message);
    padded[length] = 0x80;
    const view = new DataView(padded.buffer);
    view.setUint32(padded.length - 8, (length << 3) >>> 0, true);
    view.setUint32(padded.length - 4, Math.floor(length / 2 ** 29), true);
    let state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
    for (let at = 0; at < padded.length; at += 64) {
      let [a, b, c, d] = state;
      for (let i = 0; i < 64; i++) {
        const round = i >> 4;
        const mixed = [(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)][round];
        const word = [i, 5 * i + 1, 3 * i + 5, 7 * i][round] & 15;
        const sum = (a + mixed + SINES[i] + view.getUint32(at + word * 4, true)) | 0;
        const turn = TURNS[round][i & 3];
        [a, d, c, b] = [d, c, b, (b + ((sum << turn) | (sum >>> (32 - turn)))) | 0];
      }
      state = [state[0] + a, state[1] + b, state[2] + c, state[3] + d].map((word) => word | 0);
    }
    const digest = new DataView(new ArrayBuffer(16));
    state.forEach((word, i) => digest.setInt32(i * 4, word, true));
    return new Uint8Array(digest.buffer);
  }

  function hmacMd5(key, message) {
    const padded = new Uint8Array(64);
    padded.set(key.length > 64 ? md5(key) : key);
    const inner = md5(join(padded.map((byte) => byte ^ 0x36), message));
    return md5(join(padded.map((byte) => byte ^ 0x5c), inner));
  }

  // ---------------------------------------------------------------------------------------------------- AES (FIPS 197)
  const double = (byte) => ((byte << 1) ^ (byte & 0x80 ? 0x11b : 0)) & 0xff;
  const times = (byte, factor) => {
    let product = 0;
    for (let power = byte; factor; factor >>= 1, power = double(power)) if (factor & 1) product ^= power;
    return product;
  };
  const BOX = new Uint8Array(256);
  const UNBOX = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let inverse = 0;
    for (let other = 1; byte && other < 256; other++) if (times(byte, other) === 1) { inverse = other; break; }
    let value = 0x63;
    for (let turn = 0; turn < 5; turn++) value ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xff;
    BOX[byte] = value;
    UNBOX[value] = byte;
  }

  function roundKeys(key) {
    const words = key.length / 4;
    const rounds = words + 6;
    const schedule = [];
    for (let i = 0; i < words; i++) schedule.push(Array.from(key.slice(4 * i, 4 * i + 4)));
    for (let i = words, constant = 1; i < 4 * (rounds + 1); i++) {
      let word = schedule[i - 1].slice();
      if (i % words === 0) {
        word = [...word.slice(1), word[0]].map((byte) => BOX[byte]);
        word[0] ^= constant;
        constant = double(constant);
      } else if (words > 6 && i % words === 4) word = word.map((byte) => BOX[byte]);
      schedule.push(word.map((byte, j) => byte ^ schedule[i - words][j]));
    }
    return Array.from({ length: rounds + 1 }, (_, i) => schedule.slice(4 * i, 4 * i + 4).flat());
  }

  const xor = (left, right) => left.map((byte, i) => byte ^ right[i]);
  const ROWS = Array.from({ length: 16 }, (_, i) => (i + 4 * (i % 4)) % 16);
  const UNROWS = Array.from({ length: 16 }, (_, i) => (i + 16 - 4 * (i % 4)) % 16);
  const mixed = (block, factors) =>
    block.map((_, i) => [0, 1, 2, 3].reduce((sum, j) => sum ^ times(block[(i & 12) + j], factors[(j - (i & 3) + 4) & 3]), 0));

  function encryptBlock(block, keys) {
    let state = xor(block, keys[0]);
    for (let round = 1; round < keys.length; round++) {
      state = ROWS.map((from) => BOX[state[from]]);
      if (round < keys.length - 1) state = mixed(state, [2, 3, 1, 1]);
      state = xor(state, keys[round]);
    }
    return state;
  }

  function decryptBlock(block, keys) {
    let state = xor(block, keys[keys.length - 1]);
    for (let round = keys.length - 2; round >= 0; round--) {
      state = xor(UNROWS.map((from) => UNBOX[state[from]]), keys[round]);
      if (round > 0) state = mixed(state, [14, 11, 13, 9]);
    }
    return state;
  }

  function encrypt(plain, key, iv) {
    const fill = 16 - (plain.length % 16);
    const padded = join(plain, new Uint8Array(fill).fill(fill));
    const keys = roundKeys(key);
    const out = [];
    let before = Array.from(iv);
    for (let at = 0; at < padded.length; at += 16) {
      before = encryptBlock(xor(Array.from(padded.slice(at, at + 16)), before), keys);
      out.push(...before);
    }
    return Uint8Array.from(out);
  }

  function decrypt(blocks, key, iv) {
    if (!blocks.length || blocks.length % 16) throw new Error("4003 Data: 不是整块密文 / not whole cipher blocks");
    const keys = roundKeys(key);
    const out = [];
    let before = Array.from(iv);
    for (let at = 0; at < blocks.length; at += 16) {
      const block = Array.from(blocks.slice(at, at + 16));
      out.push(...xor(decryptBlock(block, keys), before));
      before = block;
    }
    const fill = out[out.length - 1];
    if (fill < 1 || fill > 16 || out.slice(-fill).some((byte) => byte !== fill))
      throw new Error("4003 Data: 填充错误, 密钥不符 / wrong padding: another key");
    return Uint8Array.from(out.slice(0, -fill));
  }

  // ---------------------------------------------------------------------------------------------------------- envelope
  const sign = (message, keys) => hex(hmacMd5(utf8(keys.sigSecret), utf8(message)));

  function aesKeys(keys) {
    const [key, iv] = [utf8(keys.dataSecret), utf8(keys.dataIv)];
    if (![16, 24, 32].includes(key.length)) throw new Error(`DataSecret: ${key.length} 字节, 应为 16 / bytes, 16 are due`);
    if (iv.length !== 16) throw new Error(`DataSecretIV: ${iv.length} 字节, 应为 16 / bytes, 16 are due`);
    return [key, iv];
  }

  const seal = (body, keys) => base64(encrypt(utf8(body), ...aesKeys(keys)));
  const unseal = (data, keys) => text(decrypt(unbase64(data), ...aesKeys(keys)));

  function sealRequest(body, operatorId, timestamp, seq, keys) {
    const data = seal(body, keys);
    const sig = sign(operatorId + data + timestamp + seq, keys);
    return { OperatorID: operatorId, Data: data, TimeStamp: timestamp, Seq: seq, Sig: sig };
  }

  // Requests and answers alike; the text of the body, so that decimals stay as they were written.
  function open(envelope, keys) {
    const answer = "Ret" in envelope;
    const parts = answer
      ? [envelope.Ret, envelope.Msg ?? "", envelope.Data ?? ""]
      : [envelope.OperatorID, envelope.Data, envelope.TimeStamp, envelope.Seq];
    if (String(envelope.Sig ?? "").toUpperCase() !== sign(parts.join(""), keys))
      throw new Error("4001 Sig: 签名错误 / signature error");
    return envelope.Data ? unseal(envelope.Data, keys) : "";
  }

  function stamp(moment) {
    const china = new Date(moment.getTime() + 8 * 3600 * 1000);
    return china.toISOString().replace(/[-:T]/g, "").slice(0, 14);
  }

  return { seal, unseal, sign, sealRequest, open, stamp, md5: (message) => hex(md5(utf8(message))) };
})();
