"""The page on which a partner's engineer seals, sends and opens T/CEC 102 messages in the browser; keys never leave it."""
