"""Chooses, for every text, what a reader might have asked to get it."""
import collections
import re

import prompts
import subjects

# How often a text is used in one pass. Quatrains and regulated verse are what the model is to write.
REPEAT = {("tang", 4): 2.0, ("tang", 8): 1.0, ("tang", 0): 0.35, ("ci", 0): 0.45, ("primer", 0): 1.0, ("en", 0): 1.4}
# --focus, for a short training: mostly quatrains, and requests whose words are in the text, which is what has to be learned
# before a poem is about its subject at all. The rest stays in small measure so that it is not forgotten.
FOCUS = {("tang", 4): 2.0, ("tang", 8): 0.5, ("tang", 0): 0.0, ("ci", 0): 0.12, ("primer", 0): 0.2, ("en", 0): 0.8}
ENDING = [""] * 7 + ["。"] * 2 + ["！", "吧"]


class Asker:
    def __init__(self, items, rng, focus=False):
        self.rng = rng
        self.repeat = FOCUS if focus else REPEAT
        # Shares of a Tang poem's requests, cumulative: its title, a phrase of its own, nothing in particular.
        self.title, self.phrase, self.plain = (0.10, 0.42, 0.50) if focus else (0.14, 0.28, 0.36)
        self.focus = focus
        freq = collections.Counter()
        for x in items:
            for i in self._subjects(x):
                freq[i] += 1
        self.freq = freq
        pairs = collections.Counter()
        for x in items:
            if x["kind"] == "tang":
                pairs.update({x["text"][i:i + 2] for i in range(len(x["text"]) - 1)})
        # Two-character phrases that many poems share (明月, 白云): any of them can be a subject too.
        self.phrases = {p for p, n in pairs.most_common(900) if re.fullmatch("[\u4e00-\u9fff]{2}", p)}

    @staticmethod
    def _subjects(x):
        """Index of each subject the text is about -> how strongly."""
        found = {}
        if x["kind"] == "en":
            words = re.findall("[a-z]+", x["text"].lower())
            for i, (_, keys) in enumerate(subjects.EN):
                n = sum(words.count(k) for k in keys)
                if n:
                    found[i] = n
            return found
        title = x.get("title", "") if x["kind"] == "tang" else ""
        for i, (_, keys) in enumerate(subjects.ZH):
            n = sum(min(2, x["text"].count(k)) + 3 * (k in title) for k in keys)
            if n:
                found[i] = n
        return found

    def subject(self, x):
        found = self._subjects(x)
        if not found:
            return None
        # Rare subjects first: half the poems have a "风" or a "花", few are about tea.
        ids = list(found)
        weights = [found[i] ** 1.5 / self.freq[i] ** 0.6 for i in ids]
        return self.rng.choices(ids, weights)[0]

    def name(self, i, text):
        names = subjects.ZH[i][0]       # the first name is what most people type
        if self.focus:
            names = [n for n in names if set(n) & set(text)] or names
        return names[0] if self.rng.random() < 0.4 else self.rng.choice(names)

    def _form(self, x):
        n, lines = x["n"], x["lines"]
        return self.rng.choice(prompts.FORMS.get((n, lines)) or prompts.FORMS[(n, 0)])

    def ask(self, x, i):
        """A request for text x, which is about subject i (or None)."""
        pick, r = self.rng.choice, self.rng.random()
        if x["kind"] == "en":
            return pick(prompts.EN_ANY) if i is None or r < 0.12 else pick(prompts.EN_SUBJECT).format(s=subjects.EN[i][0])
        if x["kind"] == "primer":
            return pick(prompts.PRIMER).format(t=x["title"])
        if x["kind"] == "ci":
            if i is None or r < 0.3:
                return pick(prompts.CI)
            return pick(prompts.CI_TUNE).format(t=x["title"]) if r < 0.5 else pick(prompts.CI_SUBJECT).format(s=self.name(i, x["text"]))
        if x["lines"] not in (4, 8) and r < 0.6:
            return pick(prompts.FORM).format(f=self._form(x))       # the odd lengths are asked for by name
        if x["title"] and r < self.title:
            return pick(prompts.TITLE).format(s=x["title"], f=self._form(x))
        if r < self.phrase:
            text = x["text"]
            seen = sorted({text[k:k + 2] for k in range(len(text) - 1)} & self.phrases)
            if seen:
                return pick(prompts.SUBJECT + prompts.SUBJECT_FORM).format(s=pick(seen), f=self._form(x))
        if i is None or r < self.plain:
            return pick(prompts.ANY) if self.rng.random() < 0.5 else pick(prompts.FORM).format(f=self._form(x))
        name = self.name(i, x["text"])
        if r < self.plain + 0.03 and subjects.ZH[i][0][0] in subjects.EN_OF:
            return pick(prompts.EN_ASKS_ZH).format(s=subjects.EN_OF[subjects.ZH[i][0][0]])
        if r < self.plain + 0.26:
            return pick(prompts.SUBJECT_FORM).format(s=name, f=self._form(x))
        return pick(prompts.SUBJECT).format(s=name)

    def _times(self, x):
        lines = x.get("lines", 0)
        want = self.repeat[(x["kind"], lines if lines in (4, 8) else 0)]
        return int(want) + (self.rng.random() < want % 1)

    def samples(self, items, chat):
        """Chats of one or two turns: lists of (request, answer). `chat` is the share of greetings and refusals."""
        rng = self.rng
        todo = [x for x in items for _ in range(self._times(x))]
        rng.shuffle(todo)
        about = collections.defaultdict(list)
        for x in items:
            if x["kind"] == "tang" and x["lines"] in (4, 8):
                for i in self._subjects(x):
                    about[i].append(x)
        out = []
        for x in todo:
            i = self.subject(x)
            text = self.ask(x, i)
            if x["kind"] != "en" and not text[-1] in "？。" and text[-1] > "\u4e00":
                text += rng.choice(ENDING)
            elif x["kind"] == "en" and rng.random() < 0.3:
                text += "."
            turns = [(text, x["text"])]
            if x["kind"] == "tang" and i is not None and rng.random() < 0.06:
                turns.append((rng.choice(prompts.AGAIN), rng.choice(about[i] or [x])["text"]))
            out.append(turns)
            if rng.random() < chat:
                asks, answers = rng.choice(prompts.CHAT)
                out.append([(rng.choice(asks), rng.choice(answers))])
        return out
