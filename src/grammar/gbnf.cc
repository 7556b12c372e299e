#include "grammar/gbnf.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "grammar/quantifier.h"
#include "text/utf8_decode.h"

namespace dormouse::grammar {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class Parser {
 public:
  Parser(Builder& builder, std::string_view text) : b_(builder), text_(text) {}

  Result<Expr> parse() {
    if (text_.size() > kMaxSourceBytes) {
      return make_error(Code::kTooLarge, fmt::format("grammar: longer than {} bytes", kMaxSourceBytes));
    }
    for (skip_blank(); at_ < text_.size(); skip_blank()) {
      const std::string_view head = rule_head();
      if (head.empty()) return refuse("`name ::=` is needed");
      TRY(const Expr rule, rule_named(head));
      if (!defined_.insert(head).second) return refuse(fmt::format("rule '{}' is there twice", head));
      TRY(const Expr body, alternatives(0));
      if (at(')')) return refuse("a ) without its (");
      b_.define(rule, body);
    }
    for (const auto& [name, rule] : rules_) {
      if (!defined_.contains(name)) return refuse(fmt::format("rule '{}' is used and not there", name));
    }
    const auto root = rules_.find("root");
    if (root == rules_.end()) return refuse("there is no rule 'root'");
    return root->second;
  }

 private:
  [[nodiscard]] Error refuse(std::string_view what) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n');
    return make_error(Code::kInvalidArgument, fmt::format("grammar: line {}: {}", line, what));
  }
  [[nodiscard]] bool at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!at(c)) return false;
    ++at_;
    return true;
  }
  void skip_blank() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
        ++at_;
      } else {
        return;
      }
    }
  }
  [[nodiscard]] std::string_view name_here() const {
    std::size_t end = at_;
    while (end < text_.size() && is_name_character(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  // `name ::=`, taken; empty and nothing taken where it is not that.
  std::string_view rule_head() {
    const std::string_view name = name_here();
    const std::size_t before = at_;
    at_ += name.size();
    while (at(' ') || at('\t')) ++at_;
    if (!name.empty() && text_.substr(at_).starts_with("::=")) {
      at_ += 3;
      return name;
    }
    at_ = before;
    return {};
  }
  [[nodiscard]] bool at_rule_head() {
    const std::size_t before = at_;
    const bool out = !rule_head().empty();
    at_ = before;
    return out;
  }

  Result<Expr> rule_named(std::string_view name) {
    const auto known = rules_.find(name);
    if (known != rules_.end()) return known->second;
    if (rules_.size() >= kMaxWrittenRules) return refuse(fmt::format("more than {} rules", kMaxWrittenRules));
    return rules_.emplace(name, b_.declare(std::string(name))).first->second;
  }

  Result<Expr> alternatives(int depth) {
    if (depth > kMaxNesting) return refuse(fmt::format("nested deeper than {}", kMaxNesting));
    std::vector<Expr> out;
    do {
      TRY(const Expr one, sequence(depth));
      out.push_back(one);
    } while (take('|'));
    return out.size() == 1 ? out.front() : b_.choice(std::move(out));
  }

  Result<Expr> sequence(int depth) {
    std::vector<Expr> parts;
    for (skip_blank(); at_ < text_.size() && !at('|') && !at(')') && !at_rule_head(); skip_blank()) {
      TRY(Expr part, term(depth));
      TRY(const std::optional<RepeatBounds> bounds, quantifier());
      if (bounds.has_value()) part = b_.repeat(part, *bounds);
      parts.push_back(part);
    }
    return b_.sequence(std::move(parts));
  }

  Result<Expr> term(int depth) {
    if (take('(')) {
      TRY(const Expr inner, alternatives(depth + 1));
      if (!take(')')) return refuse("a ( without its )");
      return inner;
    }
    if (take('"')) return literal();
    if (take('[')) return char_class();
    if (take('.')) return b_.characters({{0, kLastCodePoint}});
    const std::string_view name = name_here();
    if (name.empty()) return refuse("a text in quotes, [characters], a rule's name or ( ) is needed");
    at_ += name.size();
    return rule_named(name);
  }

  Result<Expr> literal() {
    std::string out;
    while (!take('"')) {
      TRY(const std::uint32_t c, character());
      append_utf8(out, c);
    }
    return b_.literal(out);
  }

  Result<Expr> char_class() {
    const bool is_negated = take('^');
    CodePointSet set;
    while (!take(']')) {
      TRY(const std::uint32_t first, character());
      std::uint32_t last = first;
      if (at('-') && !text_.substr(at_).starts_with("-]")) {
        take('-');
        TRY(last, character());
      }
      if (last < first) return refuse("a range in [] goes from one character to a later one");
      set.push_back({first, last});
    }
    if (is_negated) set = complement(std::move(set));
    if (set.empty()) return refuse("[] matches no character");
    return b_.characters(std::move(set));
  }

  Result<std::uint32_t> character() {
    if (at_ == text_.size()) return refuse("it ends within quotes or brackets");
    if (take('\\')) return escape();
    const text::Utf8Step step = text::decode_utf8(text_.substr(at_));
    if (step.kind != text::Utf8Kind::kCharacter) return refuse("not UTF-8");
    at_ += step.size;
    return step.code_point;
  }

  Result<std::uint32_t> escape() {
    if (take('n')) return std::uint32_t{'\n'};
    if (take('r')) return std::uint32_t{'\r'};
    if (take('t')) return std::uint32_t{'\t'};
    for (const char c : {'\\', '"', '[', ']', '-', '^'}) {
      if (take(c)) return static_cast<std::uint32_t>(c);
    }
    for (const auto& [letter, digits] : {std::pair<char, std::size_t>{'x', 2}, {'u', 4}, {'U', 8}}) {
      if (!take(letter)) continue;
      const std::string_view text = text_.substr(at_, digits);
      std::uint32_t out = 0;
      const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
      if (ec != std::errc{} || text.size() != digits || end != text.data() + digits) {
        return refuse(fmt::format("\\{} needs {} hexadecimal digits", letter, digits));
      }
      if (out > kLastCodePoint || (out >= 0xD800 && out <= 0xDFFF)) return refuse("no character has that number");
      at_ += digits;
      return out;
    }
    return refuse("this escape is not supported");
  }

  Result<std::optional<RepeatBounds>> quantifier() {
    const Result<Quantifier> out = read_quantifier(text_.substr(at_));
    if (!out.has_value()) return refuse(out.error().message);
    at_ += out->length;
    return out->bounds;
  }

  Builder& b_;
  const std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string_view, Expr> rules_;
  std::set<std::string_view> defined_;
};

}  // namespace

Result<Expr> add_gbnf(Builder& builder, std::string_view text) {
  return Parser(builder, text).parse();
}

Result<std::shared_ptr<const Grammar>> compile_gbnf(std::string_view text) {
  Builder builder;
  TRY(const Expr root, add_gbnf(builder, text));
  return builder.finish(root);
}

}  // namespace dormouse::grammar
