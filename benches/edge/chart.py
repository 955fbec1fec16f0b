"""Draws results.svg: bars of peer / Slipway on a logarithmic scale, whiskers from least to most.

It brings its own ground along, light or dark as the reader's system has it: what shows it may have either, and every
text must stand out from the ground that it stands on.
"""

import html, math, statistics

LEFT, WIDTH, RIGHT, BAR, GAP, TOP = 320, 470, 70, 13, 12, 74
LOW, HIGH = 0.5, 20
LIGHT = {"ground": "#ffffff", "text": "#1f2328", "faint": "#59636e", "line": "#d1d9e0",
         "nginx": "#1a7f37", "haproxy": "#0969da", "traefik": "#9a6700", "chp": "#cf222e"}
DARK = {"ground": "#0d1117", "text": "#f0f6fc", "faint": "#9198a1", "line": "#3d444d",
        "nginx": "#3fb950", "haproxy": "#58a6ff", "traefik": "#d29922", "chp": "#ff7b72"}
NAMES = {"nginx": "nginx", "haproxy": "haproxy", "traefik": "Traefik", "chp": "configurable-http-proxy"}


def at(value):
    share = (math.log(min(max(value, LOW), HIGH)) - math.log(LOW)) / (math.log(HIGH) - math.log(LOW))
    return LEFT + share * WIDTH


def style():
    def rules(colours):
        texts = "".join(f".{name}{{fill:{colours[name]}}}" for name in ("ground", "text", "faint", *NAMES))
        return texts + f".line{{stroke:{colours['line']}}}.one,.whisker{{stroke:{colours['text']}}}"
    return f"<style>{rules(LIGHT)}@media (prefers-color-scheme:dark){{{rules(DARK)}}}</style>"


def chart(rows, peers, day):
    """`rows` are titles with the ratios of each peer: [(title, [(peer, [ratio, …]), …]), …]."""
    body, y = [], TOP
    for title, bars in rows:
        bars = [(peer, found) for peer, found in bars if found]
        if not bars:
            continue
        title = html.escape(title.split(" (goal")[0])
        body.append(f'<text class="text" x="{LEFT - 12}" y="{y + len(bars) * BAR / 2 + 3:.0f}" text-anchor="end">{title}</text>')
        for peer, found in bars:
            middle, least, most = statistics.median(found), min(found), max(found)
            start, end = sorted((at(1), at(middle)))
            body.append(f'<rect class="{peer}" x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="{BAR - 3}"/>')
            body.append(f'<path class="whisker" d="M{at(least):.1f} {y + 5}H{at(most):.1f}"/>')
            body.append(f'<text class="text" x="{max(at(most), end, at(1)) + 5:.1f}" y="{y + 9}" font-size="10">{middle:.2f}</text>')
            y += BAR
        y += GAP
    grid = "".join(f'<path class="{"one" if value == 1 else "line"}" d="M{at(value):.1f} {TOP - 8}V{y - 4}"/>'
                   f'<text class="faint" x="{at(value):.1f}" y="{y + 10}" text-anchor="middle" font-size="10">{value:g}</text>'
                   for value in (0.5, 1, 2, 5, 10, 20))
    legend, x = [], LEFT
    for peer in peers:
        legend.append(f'<rect class="{peer}" x="{x}" y="46" width="10" height="10"/><text class="text" x="{x + 15}" y="55">{NAMES[peer]}</text>')
        x += 45 + 7 * len(NAMES[peer])
    width, height = LEFT + WIDTH + RIGHT, y + 22
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'font-family="system-ui,sans-serif" font-size="12" role="img" aria-label="Cost of each peer as a multiple of Slipway\'s">{style()}'
            f'<rect class="ground" width="100%" height="100%" rx="6"/>'
            f'<text class="text" x="{LEFT}" y="20" font-weight="bold">Cost of a peer / cost of Slipway: right of 1, Slipway costs less</text>'
            f'<text class="faint" x="{LEFT}" y="36" font-size="10">median and range of rounds, {day}; logarithmic</text>'
            f'{"".join(legend)}{grid}{"".join(body)}</svg>\n')
