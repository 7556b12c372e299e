#!/usr/bin/env python3
"""The house rules as a test (ARCHITECTURE.md "Layers", CONTRIBUTING.md "Sizes"): every message names the fix.

Run from anywhere: tools/tidy.py [ROOT]. Exit 0: clean. Reads only files git would track or could track.
"""
import re
import subprocess
import sys
from pathlib import Path

# folder -> folders of src/ it may include; an include goes down or stays.
LAYERS = {
    "base": [],
    "http": ["base"],
    "api": ["base"],
    "loadtest": ["http", "api", "base"],
    "control": ["base"],
    "gguf": ["base"],
    "quant": ["base"],
    "text": ["base", "gguf"],
    "grammar": ["text", "base"],
    "kernels": ["base", "quant"],
    "sched": ["base"],
    "policy": ["base"],
    "pack": ["kernels", "gguf", "quant", "text", "base"],
    "planner": ["policy", "base"],
    "engine": ["pack", "kernels", "quant", "gguf", "base", "sched/batch_plan.h"],
    "worker": ["engine", "pack", "sched", "grammar", "text", "quant", "gguf", "api", "control", "http", "base"],
    "ledger": ["base"],
    "fleet": ["policy", "control", "http", "ledger", "base"],
    "catalog": ["http", "base"],
    "gateway": ["fleet", "policy", "ledger", "planner", "catalog", "api", "http", "base"],
    "console": ["gateway", "api", "http", "base"],
    "cli": ["console", "gateway", "fleet", "policy", "ledger", "planner", "catalog", "loadtest", "api", "control", "http",
            "base"],
    "apps": None,
}
# Third-party headers and the folders that may see them.
THIRD_PARTY = {
    r"boost/beast": ["http"],
    r"boost/asio": ["http", "loadtest", "fleet", "worker", "gateway", "cli"],
    # text: its tests' goldens only
    r"boost/json": ["api", "grammar", "loadtest", "control", "fleet", "worker", "gateway", "cli", "catalog", "text"],
    r"sqlite3\.h": ["ledger"],
    r"utf8proc": ["text"],
    r"CLI/": ["cli", "apps", "worker"],
    r"toml\+\+": ["catalog", "gateway", "cli"],
    r"spdlog": ["base"],
    r"openssl": ["http", "fleet", "gateway"],
    r"immintrin|x86intrin|arm_neon": ["kernels"],
    r"cuda": ["kernels", "engine"],
}
# A line that belongs elsewhere: (pattern, folders or files where it is right, where to put it).
PLACES = [
    (r"\b(fork|execve|execv|waitpid|pidfd_open)\s*\(", ["base/subprocess"], "base/subprocess.cc"),
    (r"\bstd::regex\b", [], "a hand-written scanner (std::regex recurses on its input)"),
    (r"_clock::now\s*\(", ["base/clock", "_bench.cc"], "base/clock.h, injected"),
    (r"\bstd::this_thread::sleep", ["base/clock"], "an event to wait for"),
    (r"\bthrow\b(?!\s*;?\s*//)", [], "Result<T>: project code never throws"),
    (r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", [], "an issue, or done now"),
    (r"\busing namespace\b(?!\s+std::(literals|chrono_literals|string_literals|string_view_literals))", [],
     "qualified names"),
    (r"\b(atoi|atol|stoi|stol|stoul|stoull|stod|strtol|strtoul)\s*\(", [], "std::from_chars"),
]
BANNED_FILES = re.compile(r"(^|/)(utils?|common|helpers?|misc)\.(h|cc|py|ts)$")
MAX_FILE, MAX_TEST_FILE, MAX_FUNCTION, MAX_KERNEL_FUNCTION, MAX_LINE = 800, 1000, 70, 160, 120


def tracked(root):
    out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    return [Path(p) for p in out.stdout.splitlines() if (Path(root) / p).is_file()]


def strip_code(text):
    """Comments and literals out, line structure kept."""
    pattern = re.compile(r'R"([^(\s]*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    # A digit separator (1'000) is no literal; hide it first.
    text = re.sub(r"(?<=\d)'(?=\d)", "_", text)
    return pattern.sub(lambda m: ('""' if m.group(0)[0] in "\"R'" else "") + "\n" * m.group(0).count("\n"), text)


def check_includes(path, text, report):
    folder = path.parts[1]
    allowed = LAYERS.get(folder)
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not match:
            continue
        quoted, target = match.group(1) == '"', match.group(2)
        if quoted and "/" in target and allowed is not None:
            other = target.split("/")[0]
            if other in LAYERS and other != folder and other not in allowed and target not in allowed:
                report(path, number, f"{folder}/ may not include {target}: allowed are {', '.join(allowed) or 'none'}")
        for pattern, folders in THIRD_PARTY.items():
            if re.match(pattern, target) and folder not in folders and folder != "apps":
                report(path, number, f"<{target}> is for {', '.join(folders)} only: go through their interface")


def function_lengths(code):
    """(first line, length) of every brace block that follows a ')' at namespace or class depth: good to a few lines."""
    lines = code.splitlines()
    depth_kind, start, results, buffer = [], [], [], ""
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            continue
        for char in line:
            if char == "{":
                head = buffer.strip()
                scope = re.search(r"\b(namespace|class|struct|enum|union|extern)\b[^;()]*$", head) is not None
                inside = any(kind == "f" for kind in depth_kind)
                kind = "s" if scope else ("b" if inside or ")" not in head else "f")
                depth_kind.append(kind)
                start.append(number)
                buffer = ""
            elif char == "}":
                if depth_kind:
                    if depth_kind.pop() == "f":
                        results.append((start[-1], number - start[-1] + 1))
                    start.pop()
                buffer = ""
            elif char == ";":
                buffer = ""
            else:
                buffer += char
        buffer += " "
    return results


def check_source(path, text, report):
    code = strip_code(text)
    is_test = path.name.endswith(("_test.cc", "_fuzz.cc", "_bench.cc"))
    count = text.count("\n")
    limit = MAX_TEST_FILE if is_test else MAX_FILE
    if count > limit:
        report(path, count, f"{count} lines, hard stop {limit}: split it along its seams")
    raw = text.splitlines()
    for number, line in enumerate(raw, 1):
        if len(line) > MAX_LINE and "http" not in line:
            report(path, number, f"{len(line)} columns, limit {MAX_LINE}")
    wide = path.parts[1] in ("kernels", "engine")
    for first, length in function_lengths(code):
        marked = any("tidy: long" in line for line in raw[max(0, first - 6):first + 1])
        allowed = MAX_KERNEL_FUNCTION if wide and marked else MAX_FUNCTION
        if length > allowed and not is_test:
            report(path, first, f"function of {length} lines, limit {allowed}: let one function decide, leaves compute")
    if is_test:
        return
    for number, line in enumerate(code.splitlines(), 1):
        for pattern, places, instead in PLACES:
            if re.search(pattern, line) and not any(place in str(path) for place in places):
                report(path, number, f"`{line.strip()[:60]}` belongs in {instead}")
    if path.suffix == ".h" and not text.lstrip().startswith("//"):
        report(path, 1, "a header opens with its contract: what it is, who owns it, which thread, invariants")
    if path.suffix == ".h" and "#pragma once" not in text:
        report(path, 1, "missing #pragma once")


def check_built(root, sources, report):
    """Every source and test is named by a CMakeLists.txt: a test that is not built is decoration."""
    text = "\n".join((root / p).read_text() for p in tracked(root) if p.name == "CMakeLists.txt" or p.suffix == ".cmake")
    for path in sources:
        if path.suffix == ".cc" and not re.search(r"(^|[\s/\"({])" + re.escape(path.name) + r"\b", text):
            stem = path.name.removesuffix("_main.cc")
            if f"{stem}" not in text:
                report(path, 1, "no CMakeLists.txt builds this file: list it or delete it")


def check_docs(root, files, report):
    for path in files:
        if path.suffix != ".md":
            continue
        text = (root / path).read_text()
        for match in re.finditer(r"\]\(([^)#\s]+)(#[^)]*)?\)", text):
            target = match.group(1)
            if "://" not in target and not target.startswith(("mailto:", "../shared")):
                if not (root / path.parent / target).exists():
                    report(path, text[:match.start()].count("\n") + 1, f"link to {target}, which does not exist")
    index = root / "docs/adr/README.md"
    for path in files:
        if path.parts[:2] == ("docs", "adr") and path.name[:4].isdigit() and path.name not in index.read_text():
            report(path, 1, "not in docs/adr/README.md: index it")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    problems = []

    def report(path, line, message):
        problems.append(f"{path}:{line}: {message}")

    files = tracked(root)
    sources = [p for p in files if p.parts[0] == "src" and p.suffix in (".h", ".cc")]
    if len(sources) < 20:
        report(Path("src"), 1, "fewer than 20 sources found: the check is looking at the wrong tree")
    for path in sources:
        if path.parts[1] not in LAYERS:
            report(path, 1, f"src/{path.parts[1]} is not in the layer table of tools/tidy.py and ARCHITECTURE.md")
            continue
        text = (root / path).read_text()
        check_includes(path, text, report)
        check_source(path, text, report)
    for path in files:
        if BANNED_FILES.search(str(path)):
            report(path, 1, "name a file after what it does")
    check_built(root, sources + [p for p in files if p.parts[0] in ("tests", "bench") and p.suffix == ".cc"], report)
    check_docs(root, files, report)
    print("\n".join(sorted(problems)) if problems else f"tidy: {len(sources)} sources clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
