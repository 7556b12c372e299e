// What makes a grammar safe to follow: no rule calls itself at its own beginning, and every way can be brought to an
// end.
#include <fmt/format.h>

#include <limits>
#include <utility>

#include "grammar/assembly.h"

namespace dormouse::grammar {
namespace {

constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();

// Edges by the nodes they lead to: an edge is looked at again when its target, or its callee, has become known.
struct BackEdge {
  NodeId from = 0;
  const Edge* edge = nullptr;
};

class BackEdges {
 public:
  explicit BackEdges(const Grammar& grammar) : first_(grammar.node_count() + 1, 0) {
    each(grammar, [this](NodeId to, BackEdge) { first_[to + 1] += 1; });
    for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
    std::vector<std::uint32_t> next = first_;
    edges_.resize(first_.back());
    each(grammar, [this, &next](NodeId to, BackEdge edge) { edges_[next[to]++] = edge; });
  }
  [[nodiscard]] std::span<const BackEdge> into(NodeId node) const {
    return std::span(edges_).subspan(first_[node], first_[node + 1] - first_[node]);
  }

 private:
  template <typename Visit>
  static void each(const Grammar& grammar, Visit visit) {
    for (NodeId node = 0; node < grammar.node_count(); ++node) {
      for (const Edge& edge : grammar.edges(node)) {
        visit(edge.target, BackEdge{node, &edge});
        if (edge.kind == Edge::Kind::kCall) visit(edge.callee, BackEdge{node, &edge});
      }
    }
  }
  std::vector<std::uint32_t> first_;
  std::vector<BackEdge> edges_;
};

// The nodes a node leads to before a byte is taken: onwards, into a rule, and past a rule that may be empty.
template <typename Visit>
void each_before_a_byte(const Grammar& grammar, const std::vector<std::uint8_t>& nullable, NodeId node, Visit visit) {
  for (const Edge& edge : grammar.edges(node)) {
    if (edge.kind == Edge::Kind::kByte) continue;
    if (edge.kind == Edge::Kind::kCall) visit(edge.callee);
    if (edge.kind == Edge::Kind::kEmpty || nullable[edge.callee] != 0) visit(edge.target);
  }
}

}  // namespace

// Nodes from which their rule can end without a byte.
std::vector<std::uint8_t> Assembly::nullable_nodes(const Grammar& grammar) {
  const BackEdges back(grammar);
  std::vector<std::uint8_t> out(grammar.node_count(), 0);
  std::vector<NodeId> work;
  const auto join = [&](NodeId node) {
    if (out[node] != 0) return;
    out[node] = 1;
    work.push_back(node);
  };
  for (NodeId node = 0; node < grammar.node_count(); ++node) {
    if (grammar.accepts(node)) join(node);
  }
  while (!work.empty()) {
    const NodeId node = work.back();
    work.pop_back();
    for (const BackEdge& back_edge : back.into(node)) {
      const Edge& edge = *back_edge.edge;
      if (edge.kind == Edge::Kind::kByte || out[edge.target] == 0) continue;
      if (edge.kind == Edge::Kind::kCall && out[edge.callee] == 0) continue;
      join(back_edge.from);
    }
  }
  return out;
}

// A ring of nodes without a byte on it is harmless within a rule (a loop around something empty) and without end where
// a call is on it: the callee's frame would be opened again and again. Found as a call whose callee leads back to it.
Status Assembly::refuse_left_recursion(const Grammar& grammar, const std::vector<std::uint8_t>& nullable) const {
  // Rules by the node they begin with, and what they call before a byte.
  std::vector<std::uint32_t> rule_of(grammar.node_count(), kNever);
  for (std::uint32_t i = 0; i < rules_.size(); ++i) rule_of[rules_[i].start] = i;
  std::vector<std::vector<std::uint32_t>> calls(rules_.size());
  std::vector<std::uint32_t> seen(grammar.node_count(), kNever);
  std::vector<NodeId> work;
  for (std::uint32_t i = 0; i < rules_.size(); ++i) {
    work.assign(1, rules_[i].start);
    seen[rules_[i].start] = i;
    while (!work.empty()) {
      const NodeId node = work.back();
      work.pop_back();
      each_before_a_byte(grammar, nullable, node, [&](NodeId next) {
        // Only a call leads to a rule's beginning.
        if (rule_of[next] != kNever) {
          calls[i].push_back(rule_of[next]);
        } else if (seen[next] != i) {
          seen[next] = i;
          work.push_back(next);
        }
      });
    }
  }
  enum class Colour : std::uint8_t { kNew, kOpen, kDone };
  std::vector<Colour> colour(rules_.size(), Colour::kNew);
  std::vector<std::pair<std::uint32_t, std::size_t>> path;
  for (std::uint32_t root = 0; root < rules_.size(); ++root) {
    if (colour[root] == Colour::kNew) path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [rule, next] = path.back();
      colour[rule] = Colour::kOpen;
      if (next == calls[rule].size()) {
        colour[rule] = Colour::kDone;
        path.pop_back();
        continue;
      }
      const std::uint32_t callee = calls[rule][next++];
      if (colour[callee] == Colour::kOpen) {
        return make_error(Code::kInvalidArgument,
                          fmt::format("grammar: '{}' begins with itself (left recursion); write it as a repetition",
                                      rules_[callee].name));
      }
      if (colour[callee] == Colour::kNew) path.emplace_back(callee, 0);
    }
  }
  return {};
}

// Level by level: which nodes can end with no frame more, with one, with two. Each edge is looked at when one of its
// ends becomes known, and a call once more a level later; so linear in the edges.
Status Assembly::measure_frames(Grammar& out) {
  const BackEdges back(out);
  std::vector<std::uint32_t>& needed = out.frames_needed_;
  needed.assign(out.node_count(), kNever);
  std::vector<NodeId> work;
  std::vector<BackEdge> later;
  std::uint32_t level = 0;
  const auto join = [&](NodeId node) {
    if (needed[node] != kNever) return;
    needed[node] = level;
    work.push_back(node);
  };
  const auto look_at = [&](const BackEdge& back_edge) {
    const Edge& edge = *back_edge.edge;
    if (needed[edge.target] == kNever) return;
    if (edge.kind == Edge::Kind::kCall) {
      if (needed[edge.callee] == kNever) return;
      if (needed[edge.callee] + (edge.is_last ? 0 : 1) > level) return later.push_back(back_edge);
    }
    join(back_edge.from);
  };
  for (NodeId node = 0; node < out.node_count(); ++node) {
    if (out.accepts(node)) join(node);
  }
  for (; level < kMaxFrames && !(work.empty() && later.empty()); ++level) {
    for (const BackEdge& back_edge : std::exchange(later, {})) look_at(back_edge);
    while (!work.empty()) {
      const NodeId node = work.back();
      work.pop_back();
      for (const BackEdge& back_edge : back.into(node)) look_at(back_edge);
    }
  }
  if (needed[out.start_] == kNever) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("grammar: nothing can ever be all of it within {} levels of nesting", kMaxFrames));
  }
  return {};
}

}  // namespace dormouse::grammar
