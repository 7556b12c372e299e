// From a Builder's parts to a Grammar: nodes and edges laid out, short-circuited, checked. Private to grammar/.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/builder.h"
#include "grammar/grammar.h"

namespace dormouse::grammar {

class Assembly {
 public:
  explicit Assembly(const Builder& builder);
  Result<std::shared_ptr<const Grammar>> assemble(std::uint32_t root);

 private:
  struct RuleNodes {
    std::string name;
    std::optional<Expr> body;
    NodeId start = 0;
  };
  // Nodes of a counted repetition: each can come `end - node` times more, and be left.
  struct Row {
    NodeId begin = 0;
    NodeId end = 0;
    std::uint32_t rule = 0;
  };
  struct Loose {
    NodeId from = 0;
    std::uint32_t rule = 0;  // kCall
    Edge edge;
  };

  // Lay the part out after `from`; where it ends. `depth` is of the parts, bounded by kMaxPartDepth.
  NodeId lay(Expr expr, NodeId from, int depth);
  NodeId lay_literal(const std::string& text, NodeId from);
  NodeId lay_one_of(const std::vector<std::string>& texts, NodeId from);
  NodeId lay_characters(const CodePointSet& set, NodeId from);
  NodeId lay_repeat(const Builder::Part& part, NodeId from, int depth);
  NodeId lay_counted(Expr body, RepeatBounds bounds, NodeId from);
  NodeId node();
  void connect(NodeId from, NodeId to);
  void take(NodeId from, ByteRange range, NodeId to);
  NodeId call(NodeId from, std::uint32_t rule);

  [[nodiscard]] bool too_large() const { return accepts_.size() > kMaxNodes || loose_.size() > kMaxEdges; }
  Status lay_rules();
  void freeze(Grammar& out) const;
  static void skip_empty_edges(Grammar& out);
  static void make_classes(Grammar& out);
  [[nodiscard]] static std::vector<std::uint8_t> nullable_nodes(const Grammar& grammar);
  static Status measure_frames(Grammar& out);
  Status refuse_left_recursion(const Grammar& grammar, const std::vector<std::uint8_t>& nullable) const;
  void mark_rows(Grammar& out, const std::vector<std::uint8_t>& nullable) const;

  const Builder& builder_;
  std::vector<RuleNodes> rules_;  // the builder's, then those of counted repetitions
  std::vector<std::uint8_t> accepts_;
  std::vector<Loose> loose_;
  std::vector<Row> rows_;
  bool too_deep_ = false;
};

}  // namespace dormouse::grammar
