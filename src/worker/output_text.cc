#include "worker/output_text.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace dormouse::worker {
namespace {

// The longest tail of `text` that begins `stop` without being all of it.
std::size_t held_tail(std::string_view text, std::string_view stop) {
  std::size_t length = std::min(text.size(), stop.size() - 1);
  while (length > 0 && text.substr(text.size() - length) != stop.substr(0, length)) --length;
  return length;
}

}  // namespace

std::string StopMatcher::push(std::string_view text) {
  if (matched_) return {};
  held_ += text;
  std::size_t match = std::string::npos;
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    if (stop.empty()) continue;
    match = std::min(match, held_.find(stop));
    keep = std::max(keep, held_tail(held_, stop));
  }
  if (match != std::string::npos) {
    matched_ = true;
    std::string out = held_.substr(0, match);
    held_.clear();
    return out;
  }
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string StopMatcher::finish() {
  if (matched_) return {};
  return std::exchange(held_, {});
}

OutputText::OutputText(OutputOptions options)
    : options_(std::move(options)),
      stops_(options_.stops),
      part_(options_.thinking == ThinkingStart::kInside      ? Part::kReasoning
            : options_.thinking == ThinkingStart::kInContent ? Part::kStart
                                                             : Part::kContent),
      trim_(options_.thinking == ThinkingStart::kInside) {}

OutputPiece OutputText::push(text::TokenId token, std::string_view bytes) {
  OutputPiece out;
  const bool splits = options_.thinking != ThinkingStart::kNever;
  if (splits && part_ == Part::kStart && options_.think == token) {
    part_ = Part::kReasoning;
    trim_ = true;
    reasoning_tokens_ += 1;
    return out;
  }
  if (splits && part_ == Part::kReasoning) {
    reasoning_tokens_ += 1;
    if (options_.end_think == token) {
      // Half a character before the tag never gets its other half.
      out.reasoning = reasoning_text(utf8_.finish());
      held_newlines_.clear();
      part_ = Part::kContent;
      trim_ = true;
      return out;
    }
    out.reasoning = reasoning_text(utf8_.push(bytes));
    return out;
  }
  if (push_tag(token, out)) return out;
  const std::string text = utf8_.push(bytes);
  // White space before <think> does not make an answer begin.
  if (text.find_first_not_of(" \n") != std::string::npos) part_ = Part::kContent;
  push_content(text, out);
  return out;
}

OutputPiece OutputText::finish() {
  OutputPiece out;
  if (part_ == Part::kReasoning) {
    out.reasoning = reasoning_text(utf8_.finish());
    return out;
  }
  push_content(utf8_.finish(), out);
  push_free(stops_.finish(), out);
  if (options_.tool_call.has_value()) add(calls_.finish(), out);
  return out;
}

// A tag of a call, and what it ends: text that waited for the rest of a stop string, half a character.
bool OutputText::push_tag(text::TokenId token, OutputPiece& out) {
  if (token != options_.tool_call && token != options_.end_tool_call) return false;
  push_content(utf8_.finish(), out);
  push_free(stops_.finish(), out);
  part_ = Part::kContent;
  trim_ = false;
  add(token == options_.tool_call ? calls_.open() : calls_.close(), out);
  return true;
}

void OutputText::add(text::ToolCallText text, OutputPiece& out) {
  out.content += text.content;
  std::move(text.calls.begin(), text.calls.end(), std::back_inserter(out.calls));
}

std::string OutputText::reasoning_text(std::string_view text) {
  if (trim_) text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
  if (text.empty()) return {};
  trim_ = false;
  std::string out = std::exchange(held_newlines_, {});
  const std::size_t last = text.find_last_not_of('\n');
  const std::size_t end = last == std::string_view::npos ? 0 : last + 1;
  if (end == 0) {
    held_newlines_ = out.append(text);
    return {};
  }
  out += text.substr(0, end);
  held_newlines_ = text.substr(end);
  return out;
}

void OutputText::push_content(std::string_view text, OutputPiece& out) {
  if (calls_.inside()) return add(calls_.push(text), out);
  if (trim_) {
    text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
    if (text.empty()) return;
    trim_ = false;
  }
  push_free(stops_.push(text), out);
}

// Content that no stop string can touch any more.
void OutputText::push_free(const std::string& text, OutputPiece& out) {
  if (!options_.tool_call.has_value()) {
    out.content += text;
    return;
  }
  add(calls_.push(text), out);
}

}  // namespace dormouse::worker
