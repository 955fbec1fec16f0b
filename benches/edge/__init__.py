"""The parts of benches/edge.py: who is measured, the work, and the report. Standard library only.

programs   everybody who is started: the upstream, the peers, Slipway
client     a small HTTPS and WebSocket client, and what runs it in a process of its own
lines      the lines of work: each returns what one unit of it cost
routes     1, 10,000 and 100,000 routes, and adding one while readers go on
hot_spots  --profile: where the time goes, by perf
report     results.md; chart draws results.svg
"""
