// What an answer may be, as an automaton over bytes with a stack: the one form that JSON Schemas, regular expressions
// and written grammars are compiled to. Nodes and edges; an edge takes one byte of a range, takes nothing, or calls
// another rule's nodes and goes on where it is told once they are through. Made by Builder, never changed.
// Invariants: (1) every node reached can still be brought to an end, within kMaxFrames calls; (2) no rule calls itself
// before it has taken a byte; so (3) an automaton that follows it byte by byte never runs into a dead end it did not
// refuse to enter. PURE. Threads: const from any.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace dormouse::grammar {

// Source: reliability notes S-09. Text, its nesting, and what it compiles to; over any of them is kTooLarge.
inline constexpr std::size_t kMaxSourceBytes = 64 * 1024;
inline constexpr int kMaxNesting = 64;
inline constexpr std::size_t kMaxNodes = 65'536;
inline constexpr std::size_t kMaxEdges = 4 * kMaxNodes;
// Calls open at once: how deep an answer can nest. One level of JSON takes one or two of them.
inline constexpr std::uint32_t kMaxFrames = 128;

using NodeId = std::uint32_t;

struct Edge {
  enum class Kind : std::uint8_t { kByte, kEmpty, kCall };
  Kind kind = Kind::kEmpty;
  std::uint8_t low = 0;  // kByte: both ends belong to it
  std::uint8_t high = 0;
  bool is_last = false;  // kCall: nothing follows it in its own rule, so that it needs no frame
  NodeId target = 0;     // kCall: where it goes on after the call
  NodeId callee = 0;     // kCall: the rule's first node
};

class Grammar {
 public:
  [[nodiscard]] NodeId start() const { return start_; }
  [[nodiscard]] std::size_t node_count() const { return accepts_.size(); }
  [[nodiscard]] std::span<const Edge> edges(NodeId node) const {
    return std::span(edges_).subspan(first_edge_[node], first_edge_[node + 1] - first_edge_[node]);
  }
  // Its rule may end here.
  [[nodiscard]] bool accepts(NodeId node) const { return accepts_[node] != 0; }
  // Frames beyond the present ones that the shortest way to the end of its rule takes.
  [[nodiscard]] std::uint32_t frames_needed(NodeId node) const { return frames_needed_[node]; }
  // How many more times the part just repeated may come, where nodes one further on stand for one time less; 0: not in
  // such a row. Nodes with enough left are alike to whoever looks only a few bytes ahead (Matcher's masks).
  [[nodiscard]] std::uint32_t times_left(NodeId node) const { return times_left_[node]; }
  // Bytes that no edge tells apart are one class.
  [[nodiscard]] std::size_t class_count() const { return class_byte_.size(); }
  [[nodiscard]] std::uint8_t class_of(std::uint8_t byte) const { return class_of_[byte]; }
  [[nodiscard]] std::uint8_t byte_of_class(std::size_t index) const { return class_byte_[index]; }

 private:
  friend class Assembly;
  NodeId start_ = 0;
  std::vector<std::uint32_t> first_edge_;  // [nodes + 1]
  std::vector<Edge> edges_;
  std::vector<std::uint8_t> accepts_;         // [nodes]
  std::vector<std::uint32_t> frames_needed_;  // [nodes]
  std::vector<std::uint32_t> times_left_;     // [nodes]
  std::array<std::uint8_t, 256> class_of_{};
  std::vector<std::uint8_t> class_byte_;  // [classes]
};

}  // namespace dormouse::grammar
