// The page around tcec.js: fields, four buttons, one output each. Nothing is stored and nothing goes to another host.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const keys = () => ({ dataSecret: at("data-secret").value, dataIv: at("data-iv").value, sigSecret: at("sig-secret").value });
  const say = (id, value, bad) => {
    at(id).textContent = value;
    at(id).className = bad ? "bad" : "";
  };
  const guarded = (id, act) => async () => {
    try {
      say(id, await act(), false);
    } catch (error) {
      say(id, String(error.message ?? error), true);
    }
  };
  let seq = 0;
  at("insecure").hidden = window.isSecureContext;

  function sealed(body) {
    JSON.parse(body);
    seq = (seq % 9999) + 1;
    const envelope = window.tcec.sealRequest(
      body, at("operator-id").value, window.tcec.stamp(new Date()), String(seq).padStart(4, "0"), keys());
    return JSON.stringify(envelope);
  }

  async function post(name, body, token) {
    const headers = { "Content-Type": "application/json;charset=utf-8" };
    if (token) headers.Authorization = `Bearer ${token}`;
    const url = at("base").value.replace(/\/$/, "") + "/" + name;
    const answer = await fetch(url, { method: "POST", headers, body: sealed(body) });
    return answer.json();
  }

  async function token() {
    const asked = { OperatorID: at("operator-id").value, OperatorSecret: at("operator-secret").value };
    const answer = await post("query_token", JSON.stringify(asked), "");
    if (answer.Ret !== 0) throw new Error(`query_token: ${JSON.stringify(answer)}`);
    const body = JSON.parse(window.tcec.open(answer, keys()));
    if (body.SuccStat !== 0) throw new Error(`query_token: FailReason ${body.FailReason}`);
    return body.AccessToken;
  }

  at("seal").addEventListener("click", guarded("sealed", () => {
    const envelope = sealed(at("body").value);
    at("envelope").value = envelope;
    return envelope;
  }));
  at("open").addEventListener("click", guarded("opened", () => window.tcec.open(JSON.parse(at("envelope").value), keys())));
  at("send").addEventListener("click", guarded("opened", async () => {
    const name = at("interface").value;
    const answer = await post(name, at("body").value, name === "query_token" ? "" : await token());
    at("envelope").value = JSON.stringify(answer);
    const body = answer.Sig ? window.tcec.open(answer, keys()) : "";
    return `Ret ${answer.Ret}  ${answer.Msg ?? ""}\n${body}`;
  }));
  at("interface").addEventListener("change", () => {
    at("body").value = at("interface").selectedOptions[0].dataset.example;
  });
})();
