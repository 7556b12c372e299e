#include "gateway/dialect/openai.h"

#include <set>
#include <utility>

#include "http/sse.h"

namespace dormouse::gateway {
namespace {

class OpenAiAnswer final : public AnswerWriter {
 public:
  OpenAiAnswer(const api::GenerationRequest& request, api::ResponseHead head)
      : kind_(request.kind), stream_(request.stream), options_(request.stream_options), head_(std::move(head)) {}

  std::string on_chunk(const api::ParsedChunk& chunk) override {
    if (!stream_) {
      for (const api::Delta& delta : chunk.choices) collector_.add(delta);
      return {};
    }
    std::string out;
    for (const api::Delta& delta : chunk.choices) {
      const bool first = started_.insert(delta.index).second;
      // The role delta is a chunk of its own for chat; for completions an empty piece says nothing.
      if (!has_content(delta) && !(first && kind_ == api::GenerationRequest::Kind::kChat)) continue;
      out += http::sse_data(encode(delta, first, chunk.usage));
    }
    return out;
  }

  std::string closing(const AnswerSummary& summary) override {
    std::string out;
    if (options_.include_usage) out = http::sse_data(api::usage_chunk(head_, kind_, summary.usage));
    return out.append(http::kSseDone);
  }

  std::string whole(const AnswerSummary& summary) override {
    return kind_ == api::GenerationRequest::Kind::kChat
               ? api::chat_response(head_, collector_.choices(), summary.usage)
               : api::completion_response(head_, collector_.choices(), summary.usage);
  }

  void reset() override {
    collector_.clear();
    started_.clear();
  }

 private:
  std::string encode(const api::Delta& delta, bool first, const std::optional<api::Usage>& usage) const {
    const std::optional<api::Usage> shown = options_.continuous_usage_stats ? usage : std::nullopt;
    const bool usage_null = options_.include_usage && !shown.has_value();
    return kind_ == api::GenerationRequest::Kind::kChat ? api::chat_chunk(head_, delta, first, shown, usage_null)
                                                        : api::completion_chunk(head_, delta, shown, usage_null);
  }

  const api::GenerationRequest::Kind kind_;
  const bool stream_;
  const api::StreamOptions options_;
  const api::ResponseHead head_;
  ChoiceCollector collector_;
  std::set<int> started_;  // choices whose first chunk went out
};

}  // namespace

std::unique_ptr<AnswerWriter> make_openai_answer(const api::GenerationRequest& request, api::ResponseHead head) {
  return std::make_unique<OpenAiAnswer>(request, std::move(head));
}

}  // namespace dormouse::gateway
