#include "text/tool_calls.h"

#include <utility>

namespace dormouse::text {

using Place = JsonStream::Place;

ToolCallText ToolCallParser::open() {
  ToolCallText out;
  if (inside_ && !end_call(out)) break_call({}, out);
  inside_ = true;
  call_ = Call{};
  call_.raw = kToolCallOpen;
  return out;
}

ToolCallText ToolCallParser::close() {
  ToolCallText out;
  if (inside_ && end_call(out)) return out;
  if (inside_) {
    break_call(kToolCallClose, out);
  } else {
    add_content(kToolCallClose, out);
  }
  return out;
}

ToolCallText ToolCallParser::push(std::string_view text) {
  ToolCallText out;
  if (!inside_) {
    add_content(text, out);
    return out;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (read(text[i])) continue;
    break_call(text.substr(i), out);
    return out;
  }
  give_out(out);
  return out;
}

ToolCallText ToolCallParser::finish() {
  ToolCallText out;
  if (inside_ && !end_call(out) && !call_.is_certain) break_call({}, out);
  inside_ = false;
  if (!after_call_) out.content += held_newlines_;
  held_newlines_.clear();
  return out;
}

void ToolCallParser::add_content(std::string_view text, ToolCallText& out) {
  const std::size_t last = text.find_last_not_of('\n');
  if (last == std::string_view::npos) {
    held_newlines_ += text;
    return;
  }
  out.content += std::exchange(held_newlines_, std::string(text.substr(last + 1)));
  out.content += text.substr(0, last + 1);
  after_call_ = false;
}

void ToolCallParser::make_certain() {
  call_.is_certain = true;
  call_.raw.clear();
  begun_ += 1;
  held_newlines_.clear();
  after_call_ = true;
}

void ToolCallParser::give_out(ToolCallText& out) {
  if (!call_.is_certain || (call_.name.empty() && call_.arguments.empty())) return;
  out.calls.push_back(
      {.index = begun_ - 1, .name = std::exchange(call_.name, {}), .arguments = std::exchange(call_.arguments, {})});
}

void ToolCallParser::break_call(std::string_view rest, ToolCallText& out) {
  give_out(out);
  inside_ = false;
  add_content(std::exchange(call_.raw, {}).append(rest), out);
}

// False: it is not a whole call.
bool ToolCallParser::end_call(ToolCallText& out) {
  if (call_.json.place() != Place::kEnd || !call_.has_name) return false;
  if (!call_.has_arguments) {
    call_.arguments = "{}";
    make_certain();
  }
  give_out(out);
  inside_ = false;
  return true;
}

bool ToolCallParser::read(char byte) {
  const Place before = call_.json.place();
  const std::size_t depth = call_.json.depth();
  if (!call_.json.push(byte)) return false;
  const Place after = call_.json.place();
  if (depth == 0 && before == Place::kBeforeValue && after != before && byte != '{') return false;
  if (depth == 1) {
    if (before != Place::kInKey && after == Place::kInKey) call_.key.clear();
    if (before == Place::kInKey && after == before && call_.key.size() < kMaxToolNameBytes) call_.key += byte;
    if (before == Place::kBeforeValue && after != before && !begin_member(byte)) return false;
    if (before == Place::kInString && call_.member == Member::kName && !read_name(byte)) return false;
  }
  const bool is_argument = call_.member == Member::kArguments;
  if (is_argument) call_.arguments += byte;
  if (!is_argument || !call_.is_certain) call_.raw += byte;
  if (call_.has_name && call_.has_arguments && !call_.is_certain) make_certain();
  if (call_.json.depth() <= 1 && (after == Place::kAfterValue || after == Place::kBeforeKey)) {
    call_.member = Member::kNone;
  }
  return true;
}

bool ToolCallParser::begin_member(char byte) {
  if (call_.key == "name") {
    call_.member = Member::kName;
    return byte == '"' && !call_.has_name;
  }
  if (call_.key == "arguments") {
    call_.member = Member::kArguments;
    return byte == '{' && !std::exchange(call_.has_arguments, true);
  }
  call_.member = Member::kOther;
  return true;
}

// A name with escapes is nobody's.
bool ToolCallParser::read_name(char byte) {
  if (call_.json.place() == Place::kInString) {
    call_.name += byte;
    return byte != '\\' && call_.name.size() <= kMaxToolNameBytes;
  }
  call_.has_name = !call_.name.empty();
  return call_.has_name;
}

}  // namespace dormouse::text
