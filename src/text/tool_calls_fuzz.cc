// Any bytes as an answer, 0x01 and 0x02 for the tags, cut by byte and in two at every place (of the first 64): one
// content, one list of calls; what came out of arguments begins a JSON text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "text/tool_calls.h"

namespace {

using dormouse::text::JsonStream;
using dormouse::text::ToolCallParser;
using dormouse::text::ToolCallPiece;
using dormouse::text::ToolCallText;

struct Read {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;

  friend bool operator==(const Read&, const Read&) = default;
};

void add(Read& out, ToolCallText text) {
  out.content += text.content;
  for (ToolCallPiece& piece : text.calls) {
    const auto index = static_cast<std::size_t>(piece.index);
    if (index == out.calls.size()) {
      CHECK(!piece.name.empty());
      out.calls.emplace_back(std::move(piece.name), std::move(piece.arguments));
      continue;
    }
    CHECK(index + 1 == out.calls.size());
    CHECK(piece.name.empty());
    out.calls[index].second += piece.arguments;
  }
}

template <typename IsCut>
Read read(std::string_view bytes, IsCut is_cut) {
  ToolCallParser parser;
  Read out;
  std::size_t begin = 0;
  const auto flush = [&](std::size_t end) {
    if (end > begin) add(out, parser.push(bytes.substr(begin, end - begin)));
    begin = end;
  };
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == 1 || bytes[i] == 2) {
      flush(i);
      add(out, bytes[i] == 1 ? parser.open() : parser.close());
      begin = i + 1;
    } else if (is_cut(i)) {
      flush(i + 1);
    }
  }
  flush(bytes.size());
  add(out, parser.finish());
  CHECK(static_cast<std::size_t>(parser.begun()) == out.calls.size());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Read whole = read(bytes, [](std::size_t) { return false; });
  CHECK(read(bytes, [](std::size_t) { return true; }) == whole);
  for (std::size_t cut = 0; cut < std::min<std::size_t>(size, 64); ++cut) {
    CHECK(read(bytes, [cut](std::size_t i) { return i == cut; }) == whole);
  }
  for (const auto& [name, arguments] : whole.calls) {
    JsonStream json;
    for (const char byte : arguments) CHECK(json.push(byte));
  }
  return 0;
}
