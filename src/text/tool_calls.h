// Qwen3's way of calling a tool, read while it is written:
//   <tool_call>\n{"name": "f", "arguments": {...}}\n</tool_call>
// The tags are tokens of their own and come as open() and close(); all else is text. Calls come out as pieces: the name
// first, then the arguments' JSON text as it was written.
// A call is an object with a "name" (a plain string) and "arguments" (an object; none: {}), in any order; other members
// are passed over. Everything else is malformed, and comes out as content with its tags: nothing is lost. A call that
// breaks after its arguments have begun to come out keeps what it had, and the rest is content. One that ends with the
// answer stays as far as it got. Whether there is a tool of that name is the caller's to know.
// Newlines between content and calls belong to the template and are dropped.
// Invariant: how the text is cut into push() calls changes nothing. PURE. Threads: one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/json_stream.h"

namespace dormouse::text {

inline constexpr std::string_view kToolCallOpen = "<tool_call>";
inline constexpr std::string_view kToolCallClose = "</tool_call>";
inline constexpr std::size_t kMaxToolNameBytes = 256;

struct ToolCallPiece {
  int index = 0;          // of the call, from 0
  std::string name;       // in a call's first piece only
  std::string arguments;  // the next part of the JSON text
};

struct ToolCallText {
  std::string content;
  std::vector<ToolCallPiece> calls;
};

class ToolCallParser {
 public:
  [[nodiscard]] ToolCallText open();
  [[nodiscard]] ToolCallText close();
  // Whole UTF-8 characters.
  [[nodiscard]] ToolCallText push(std::string_view text);
  // No more text.
  [[nodiscard]] ToolCallText finish();

  // Text pushed now is a call's, not content.
  [[nodiscard]] bool inside() const { return inside_; }
  [[nodiscard]] int begun() const { return begun_; }  // calls that have begun to come out
  [[nodiscard]] int ended() const { return inside_ && call_.is_certain ? begun_ - 1 : begun_; }

 private:
  enum class Member { kNone, kName, kArguments, kOther };
  struct Call {
    JsonStream json;
    Member member = Member::kNone;
    std::string key;
    std::string name;  // once it is certain: not given out yet
    bool has_name = false;
    bool has_arguments = false;
    bool is_certain = false;  // it has a name and its arguments have begun: it comes out as a call
    std::string arguments;    // not given out yet
    std::string raw;          // what comes out as content if it breaks now
  };

  void add_content(std::string_view text, ToolCallText& out);
  void make_certain();
  void give_out(ToolCallText& out);
  void break_call(std::string_view rest, ToolCallText& out);
  [[nodiscard]] bool end_call(ToolCallText& out);
  [[nodiscard]] bool read(char byte);
  [[nodiscard]] bool begin_member(char byte);
  [[nodiscard]] bool read_name(char byte);

  bool inside_ = false;
  int begun_ = 0;
  Call call_;
  std::string held_newlines_;  // at the end of content
  bool after_call_ = false;    // no content since the last call
};

}  // namespace dormouse::text
