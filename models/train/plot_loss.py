#!/usr/bin/env python3
"""loss.csv -> loss.svg."""
import csv
import sys

W, H, L, B = 640, 320, 48, 36       # picture, and its left and bottom margins


def main(source="models/train/loss.csv", target="models/train/loss.svg"):
    with open(source, encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    tokens = [int(r["tokens"]) / 1e6 for r in rows]
    curves = {"train_loss": "#b8860b", "val_loss": "#1f4e79"}
    values = [float(r[c]) for c in curves for r in rows]
    lo, hi, right = int(min(values) * 2) / 2, min(7.0, max(values)), max(tokens)

    def at(x, y):
        return f"{L + (W - L - 12) * x / right:.1f},{12 + (H - B - 12) * (hi - min(y, hi)) / (hi - lo):.1f}"

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="sans-serif" font-size="12">',
           f'<rect width="{W}" height="{H}" fill="#fff"/>']
    y = lo
    while y <= hi:
        a, b = at(0, y), at(right, y)
        out.append(f'<path d="M{a} L{b}" stroke="#ddd"/><text x="8" y="{float(a.split(",")[1]) + 4:.1f}">{y:.1f}</text>')
        y += 0.5
    for x in range(0, int(right) + 1):
        out.append(f'<text x="{at(x, lo).split(",")[0]}" y="{H - 20}" text-anchor="middle">{x}</text>')
    out.append(f'<text x="{W / 2}" y="{H - 4}" text-anchor="middle">million tokens read; loss in nats a token of the answer</text>')
    for i, (c, colour) in enumerate(curves.items()):
        points = " ".join(at(t, float(r[c])) for t, r in zip(tokens, rows))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out.append(f'<text x="{W - 110}" y="{30 + 16 * i}" fill="{colour}">{c.replace("_", " ")}</text>')
    with open(target, "w", encoding="utf-8") as f:
        f.write("\n".join(out + ["</svg>"]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
