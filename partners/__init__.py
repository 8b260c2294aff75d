"""Partner platforms (互联伙伴): being a charging operator towards the platforms that sell its charging.

`tcec102` is the protocol alone, `profiles` the profile engine, `fake` a partner to rehearse with. Around them: `specs` and `links` (who is
connected how), `inbound` (what they ask), `outbound` and `sweep` (what they are told), `roaming` (our drivers at theirs), `reconcile`
(statements and disputes), `exchanges` (what went over the line), `linktest` with `reaching` (why it does not work), and `room`, which puts
them together for `hub/`.
"""
