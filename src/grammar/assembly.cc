#include "grammar/assembly.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <map>
#include <utility>

namespace dormouse::grammar {
namespace {

// Front ends nest parts a few times for each level of their text.
constexpr int kMaxPartDepth = 4 * kMaxNesting;

Error too_large_error() {
  return make_error(Code::kTooLarge,
                    fmt::format("grammar: too complex: it takes more than {} states; use fewer or smaller bounds "
                                "(maxLength, maxItems, {{m,n}})",
                                kMaxNodes));
}

}  // namespace

Assembly::Assembly(const Builder& builder) : builder_(builder) {
  for (const Builder::Rule& rule : builder.rules_) rules_.push_back({.name = rule.name, .body = rule.body});
}

NodeId Assembly::node() {
  accepts_.push_back(0);
  return static_cast<NodeId>(accepts_.size() - 1);
}

void Assembly::connect(NodeId from, NodeId to) {
  Loose loose{.from = from, .rule = 0, .edge = {}};
  loose.edge.target = to;
  loose_.push_back(loose);
}

void Assembly::take(NodeId from, ByteRange range, NodeId to) {
  Loose loose{.from = from, .rule = 0, .edge = {}};
  loose.edge = {.kind = Edge::Kind::kByte, .low = range.low, .high = range.high, .target = to};
  loose_.push_back(loose);
}

NodeId Assembly::call(NodeId from, std::uint32_t rule) {
  const NodeId to = node();
  Loose loose{.from = from, .rule = rule, .edge = {}};
  loose.edge.kind = Edge::Kind::kCall;
  loose.edge.target = to;
  loose_.push_back(loose);
  return to;
}

NodeId Assembly::lay(Expr expr, NodeId from, int depth) {
  too_deep_ = too_deep_ || depth > kMaxPartDepth;
  if (too_deep_ || too_large()) return from;
  const Builder::Part& part = builder_.part(expr);
  switch (part.kind) {
    case Builder::Kind::kLiteral: return lay_literal(part.texts.front(), from);
    case Builder::Kind::kOneOf: return lay_one_of(part.texts, from);
    case Builder::Kind::kCharacters: return lay_characters(part.set, from);
    case Builder::Kind::kSequence: {
      for (const Expr child : part.children) from = lay(child, from, depth + 1);
      return from;
    }
    case Builder::Kind::kChoice: {
      const NodeId to = node();
      for (const Expr child : part.children) connect(lay(child, from, depth + 1), to);
      return to;
    }
    case Builder::Kind::kRepeat: return lay_repeat(part, from, depth);
    case Builder::Kind::kRule: return call(from, part.rule);
  }
  return from;
}

NodeId Assembly::lay_literal(const std::string& text, NodeId from) {
  for (const char c : text) {
    const NodeId to = node();
    const auto byte = static_cast<std::uint8_t>(c);
    take(from, {byte, byte}, to);
    from = to;
    if (too_large()) break;
  }
  return from;
}

NodeId Assembly::lay_one_of(const std::vector<std::string>& texts, NodeId from) {
  std::map<std::pair<NodeId, std::uint8_t>, NodeId> known;
  std::vector<NodeId> ends;
  for (const std::string& text : texts) {
    NodeId at = from;
    for (const char c : text) {
      const auto byte = static_cast<std::uint8_t>(c);
      const auto [entry, is_new] = known.try_emplace({at, byte}, 0);
      if (is_new) {
        entry->second = node();
        take(at, {byte, byte}, entry->second);
      }
      at = entry->second;
      if (too_large()) return from;
    }
    ends.push_back(at);
  }
  const NodeId to = node();
  for (const NodeId end : ends) connect(end, to);
  return to;
}

NodeId Assembly::lay_characters(const CodePointSet& set, NodeId from) {
  const NodeId to = node();
  for (const CodePointRange& range : set) {
    for (const std::vector<ByteRange>& sequence : utf8_sequences(range)) {
      NodeId at = from;
      for (std::size_t i = 0; i < sequence.size(); ++i) {
        const NodeId next = i + 1 == sequence.size() ? to : node();
        take(at, sequence[i], next);
        at = next;
      }
    }
    if (too_large()) break;
  }
  return to;
}

NodeId Assembly::lay_repeat(const Builder::Part& part, NodeId from, int depth) {
  const Expr body = part.children.front();
  if (part.bounds.min > 1 || part.bounds.max.value_or(1) > 1) return lay_counted(body, part.bounds, from);
  if (part.bounds.min == 1) from = lay(body, from, depth + 1);
  if (part.bounds.max.has_value()) {
    if (part.bounds.min == 1 || *part.bounds.max == 0) return from;
    const NodeId to = node();
    connect(from, to);
    connect(lay(body, from, depth + 1), to);
    return to;
  }
  const NodeId loop = node();
  connect(from, loop);
  connect(lay(body, loop, depth + 1), loop);
  const NodeId to = node();
  connect(loop, to);
  return to;
}

// The body becomes a rule of its own, so that one time more costs one node and one edge.
NodeId Assembly::lay_counted(Expr body, RepeatBounds bounds, NodeId from) {
  const auto rule = static_cast<std::uint32_t>(rules_.size());
  rules_.push_back({.name = "repeat", .body = body});
  for (std::uint64_t i = 0; i < bounds.min && !too_large(); ++i) from = call(from, rule);
  const NodeId to = node();
  if (!bounds.max.has_value()) {
    const NodeId loop = node();
    connect(from, loop);
    connect(call(loop, rule), loop);
    connect(loop, to);
    return to;
  }
  const auto row_begin = static_cast<NodeId>(accepts_.size());
  for (std::uint64_t i = bounds.min; i < *bounds.max && !too_large(); ++i) {
    connect(from, to);
    from = call(from, rule);
  }
  connect(from, to);
  rows_.push_back({.begin = row_begin, .end = std::max(row_begin, from), .rule = rule});
  return to;
}

// Only where each time takes a byte: else any number of times fits into the bytes looked ahead.
void Assembly::mark_rows(Grammar& out, const std::vector<std::uint8_t>& nullable) const {
  out.times_left_.assign(out.node_count(), 0);
  for (const Row& row : rows_) {
    if (nullable[rules_[row.rule].start] != 0) continue;
    for (NodeId node = row.begin; node < row.end; ++node) out.times_left_[node] = row.end - node;
  }
}

Status Assembly::lay_rules() {
  for (std::size_t i = 0; i < rules_.size(); ++i) {  // grows on the way
    if (!rules_[i].body.has_value()) {
      return make_error(Code::kInvalidArgument, fmt::format("grammar: rule '{}' is not defined", rules_[i].name));
    }
    const NodeId start = node();
    rules_[i].start = start;
    const NodeId end = lay(*rules_[i].body, start, 0);
    accepts_[end] = 1;
    if (too_deep_) return make_error(Code::kTooLarge, "grammar: nested too deep");
    if (too_large()) return too_large_error();
  }
  return {};
}

void Assembly::freeze(Grammar& out) const {
  out.accepts_ = accepts_;
  out.first_edge_.assign(accepts_.size() + 1, 0);
  for (const Loose& loose : loose_) out.first_edge_[loose.from + 1] += 1;
  for (std::size_t i = 1; i < out.first_edge_.size(); ++i) out.first_edge_[i] += out.first_edge_[i - 1];
  std::vector<std::uint32_t> next = out.first_edge_;
  out.edges_.resize(loose_.size());
  for (const Loose& loose : loose_) {
    Edge& edge = out.edges_[next[loose.from]++];
    edge = loose.edge;
    if (edge.kind == Edge::Kind::kCall) edge.callee = rules_[loose.rule].start;
  }
}

// An edge to a node that only leads on leads there itself; a call after which nothing follows is marked.
void Assembly::skip_empty_edges(Grammar& out) {
  const auto leads_on = [&](NodeId node) {
    const auto edges = out.edges(node);
    return edges.size() == 1 && edges[0].kind == Edge::Kind::kEmpty && !out.accepts(node) && edges[0].target != node;
  };
  for (Edge& edge : out.edges_) {
    // A ring of such nodes has no way out; the bound ends the walk around it.
    for (int i = 0; i < kMaxPartDepth && leads_on(edge.target); ++i) edge.target = out.edges(edge.target)[0].target;
    edge.is_last = edge.kind == Edge::Kind::kCall && out.accepts(edge.target) && out.edges(edge.target).empty();
  }
}

void Assembly::make_classes(Grammar& out) {
  std::bitset<257> begins;
  begins[0] = true;
  for (const Edge& edge : out.edges_) {
    if (edge.kind != Edge::Kind::kByte) continue;
    begins[edge.low] = true;
    begins[std::size_t{edge.high} + 1] = true;
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (begins[byte]) out.class_byte_.push_back(static_cast<std::uint8_t>(byte));
    out.class_of_[byte] = static_cast<std::uint8_t>(out.class_byte_.size() - 1);
  }
}

Result<std::shared_ptr<const Grammar>> Assembly::assemble(std::uint32_t root) {
  TRY_STATUS(lay_rules());
  auto out = std::make_shared<Grammar>();
  freeze(*out);
  out->start_ = rules_[root].start;
  skip_empty_edges(*out);
  make_classes(*out);
  const std::vector<std::uint8_t> nullable = nullable_nodes(*out);
  TRY_STATUS(refuse_left_recursion(*out, nullable));
  mark_rows(*out, nullable);
  TRY_STATUS(measure_frames(*out));
  return std::shared_ptr<const Grammar>(std::move(out));
}

}  // namespace dormouse::grammar
