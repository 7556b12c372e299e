#include "grammar/regex.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "grammar/quantifier.h"
#include "text/utf8_decode.h"

namespace dormouse::grammar {
namespace {

const CodePointSet kDigits{{'0', '9'}};
const CodePointSet kWord{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// Source: ECMA-262, WhiteSpace and LineTerminator.
const CodePointSet kSpace{{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                          {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CodePointSet kLineEnds{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class Parser {
 public:
  Parser(Builder& builder, std::string_view text, RegexReach reach, CharacterForm form)
      : b_(builder), text_(text), reach_(reach), form_(form) {}

  Result<Expr> parse() {
    if (text_.size() > kMaxSourceBytes) {
      return make_error(Code::kTooLarge, fmt::format("regex: longer than {} bytes", kMaxSourceBytes));
    }
    TRY(const Expr out, alternatives(0));
    if (at_ < text_.size()) return refuse("a ) without its (");
    return out;
  }

 private:
  [[nodiscard]] Error refuse(std::string_view what) const {
    return make_error(Code::kInvalidArgument, fmt::format("regex: at byte {}: {}", at_, what));
  }
  [[nodiscard]] bool at(std::string_view next) const { return text_.substr(at_).starts_with(next); }
  bool take(std::string_view next) {
    if (!at(next)) return false;
    at_ += next.size();
    return true;
  }
  [[nodiscard]] bool at_alternative_end() const { return at_ == text_.size() || at("|") || at(")"); }
  [[nodiscard]] Expr characters(CodePointSet set) { return characters_in(b_, std::move(set), form_); }
  [[nodiscard]] Expr anything() { return b_.repeat(characters({{0, kLastCodePoint}}), {}); }

  Result<Expr> alternatives(int depth) {
    if (depth > kMaxNesting) return refuse(fmt::format("nested deeper than {}", kMaxNesting));
    std::vector<Expr> out;
    do {
      TRY(const Expr one, alternative(depth));
      out.push_back(one);
    } while (take("|"));
    return out.size() == 1 ? out.front() : b_.choice(std::move(out));
  }

  Result<Expr> alternative(int depth) {
    std::vector<Expr> parts;
    const bool is_outermost = depth == 0;
    const bool from_start = is_outermost && take("^");
    if (is_outermost && !from_start && reach_ == RegexReach::kSomewhere) parts.push_back(anything());
    bool to_end = false;
    while (!at_alternative_end()) {
      if (at("$")) {
        to_end = is_outermost && (at_ + 1 == text_.size() || text_[at_ + 1] == '|');
        if (!to_end) return refuse("$ can only stand at the end of the whole expression");
        take("$");
        break;
      }
      if (at("^")) return refuse("^ can only stand at the beginning of the whole expression");
      TRY(const Expr one, term(depth));
      parts.push_back(one);
    }
    if (is_outermost && !to_end && reach_ == RegexReach::kSomewhere) parts.push_back(anything());
    return b_.sequence(std::move(parts));
  }

  Result<Expr> term(int depth) {
    TRY(const Expr one, atom(depth));
    TRY(const std::optional<RepeatBounds> bounds, quantifier());
    if (!bounds.has_value()) return one;
    take("?");
    if (at("*") || at("+") || at("?") || at("{")) return refuse("a quantifier behind a quantifier");
    return b_.repeat(one, *bounds);
  }

  Result<std::optional<RepeatBounds>> quantifier() {
    const Result<Quantifier> out = read_quantifier(text_.substr(at_));
    if (!out.has_value()) return refuse(out.error().message);
    at_ += out->length;
    return out->bounds;
  }

  Result<Expr> atom(int depth) {
    if (take("(")) {
      if (at("?") && !take("?:")) return refuse("of the groups that begin with (? only (?: ) is supported");
      TRY(const Expr inner, alternatives(depth + 1));
      if (!take(")")) return refuse("a ( without its )");
      return inner;
    }
    if (at("*") || at("+") || at("?")) return refuse("a quantifier with nothing to repeat");
    if (at("{") || at("}") || at("]")) return refuse("write { } and ] as \\{ \\} and \\]");
    if (take(".")) return characters(complement(kLineEnds));
    if (take("[")) {
      TRY(CodePointSet set, char_class());
      return characters(std::move(set));
    }
    TRY(CodePointSet set, character_or_escape());
    return characters(std::move(set));
  }

  Result<CodePointSet> char_class() {
    const bool is_negated = take("^");
    CodePointSet out;
    while (!take("]")) {
      if (at_ == text_.size()) return refuse("a [ without its ]");
      TRY(const CodePointSet first, character_or_escape());
      const bool is_range = at("-") && !text_.substr(at_).starts_with("-]");
      if (!is_range) {
        out.insert(out.end(), first.begin(), first.end());
        continue;
      }
      take("-");
      TRY(const CodePointSet last, character_or_escape());
      const auto is_one = [](const CodePointSet& set) { return set.size() == 1 && set[0].first == set[0].last; };
      if (!is_one(first) || !is_one(last) || first[0].first > last[0].first) {
        return refuse("a range in [] goes from one character to a later one");
      }
      out.push_back({first[0].first, last[0].first});
    }
    if (is_negated) out = complement(std::move(out));
    if (out.empty()) return refuse("[] matches no character");
    return out;
  }

  Result<CodePointSet> character_or_escape() {
    if (take("\\")) return escape();
    if (at_ == text_.size()) return refuse("it ends too early");
    const text::Utf8Step step = text::decode_utf8(text_.substr(at_));
    if (step.kind != text::Utf8Kind::kCharacter) return refuse("not UTF-8");
    at_ += step.size;
    return CodePointSet{{step.code_point, step.code_point}};
  }

  Result<CodePointSet> escape() {
    if (at_ == text_.size()) return refuse("a \\ with nothing behind it");
    const char c = text_[at_];
    const auto one = [](std::uint32_t code_point) { return CodePointSet{{code_point, code_point}}; };
    constexpr std::string_view kPunctuation = "^$\\.*+?()[]{}|/-\"'`~!@#%&=:;<>, _";
    if (kPunctuation.find(c) != std::string_view::npos) {
      ++at_;
      return one(static_cast<std::uint8_t>(c));
    }
    switch (c) {
      case 'd': return ++at_, kDigits;
      case 'D': return ++at_, complement(kDigits);
      case 'w': return ++at_, kWord;
      case 'W': return ++at_, complement(kWord);
      case 's': return ++at_, kSpace;
      case 'S': return ++at_, complement(kSpace);
      case 'n': return ++at_, one('\n');
      case 'r': return ++at_, one('\r');
      case 't': return ++at_, one('\t');
      case 'f': return ++at_, one('\f');
      case 'v': return ++at_, one('\v');
      case 'x': return hex(2);
      case 'u': return hex(4);
      default: return refuse("this escape is not supported");
    }
  }

  Result<CodePointSet> hex(std::size_t digits) {
    ++at_;
    std::uint32_t out = 0;
    const std::string_view text = text_.substr(at_, digits);
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
    if (ec != std::errc{} || text.size() != digits || end != text.data() + digits) {
      return refuse(fmt::format("{} hexadecimal digits are needed", digits));
    }
    if (out >= 0xD800 && out <= 0xDFFF) return refuse("half of a surrogate pair; write the character itself");
    at_ += digits;
    return CodePointSet{{out, out}};
  }

  Builder& b_;
  const std::string_view text_;
  const RegexReach reach_;
  const CharacterForm form_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Expr> add_regex(Builder& builder, std::string_view pattern, RegexReach reach, CharacterForm form) {
  return Parser(builder, pattern, reach, form).parse();
}

Result<std::shared_ptr<const Grammar>> compile_regex(std::string_view pattern) {
  Builder builder;
  TRY(const Expr root, add_regex(builder, pattern, RegexReach::kWhole, CharacterForm::kPlain));
  return builder.finish(root);
}

}  // namespace dormouse::grammar
