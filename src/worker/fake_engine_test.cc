#include "worker/fake_engine_test.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "text/vocabulary_fixture.h"

namespace dormouse::worker {

void FakeControls::hold() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void FakeControls::allow(int steps) {
  {
    const std::lock_guard lock(mutex_);
    permits_ += steps;
  }
  wake_.notify_all();
}

void FakeControls::release() {
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  wake_.notify_all();
}

std::int64_t FakeControls::steps() const {
  const std::lock_guard lock(mutex_);
  return steps_;
}

std::int64_t FakeControls::last_step_of(sched::SequenceId sequence) const {
  const std::lock_guard lock(mutex_);
  const auto found = last_step_.find(sequence);
  return found == last_step_.end() ? 0 : found->second;
}

std::size_t FakeControls::largest_batch() const {
  const std::lock_guard lock(mutex_);
  return largest_batch_;
}

void FakeControls::before_step() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return !held_ || permits_ > 0; });
  if (held_) permits_ -= 1;
}

void FakeControls::after_step(const sched::BatchPlan& plan) {
  const std::lock_guard lock(mutex_);
  steps_ += 1;
  largest_batch_ = std::max(largest_batch_, plan.entries.size());
  for (const sched::PlanEntry& entry : plan.entries) last_step_[entry.sequence] = steps_;
}

FakeEngine::FakeEngine(const text::Tokenizer& tokenizer, std::int32_t kv_pages, std::shared_ptr<FakeControls> controls)
    : tokenizer_(tokenizer), controls_(std::move(controls)) {
  config_.name = "fake";
  config_.vocab = tokenizer.vocab_size();
  config_.context_length = 1 << 20;
  config_.hidden = 8;
  kv_.resize(static_cast<std::size_t>(kv_pages) * sched::kPageTokens, -1);
}

Result<std::span<const float>> FakeEngine::step(const sched::BatchPlan& plan) {
  controls_->before_step();
  const auto vocab = static_cast<std::size_t>(config_.vocab);
  logits_.assign(static_cast<std::size_t>(plan.logits_count) * vocab, 0.0F);
  hidden_.clear();
  std::size_t row = 0;
  for (const sched::PlanEntry& entry : plan.entries) {
    for (std::size_t i = 0; i < entry.tokens.size(); ++i) {
      const auto position = static_cast<std::size_t>(entry.start_position) + i;
      const auto page = static_cast<std::size_t>(entry.pages[position / sched::kPageTokens]);
      kv_[page * sched::kPageTokens + position % sched::kPageTokens] = entry.tokens[i];
    }
    for (std::size_t i = 0; i < entry.tokens.size(); ++i) {
      const bool wanted = entry.wants_all_logits || (entry.wants_logits && i + 1 == entry.tokens.size());
      if (!wanted && !entry.wants_hidden) continue;
      const std::int32_t position = entry.start_position + static_cast<std::int32_t>(i);
      if (tokenizer_.decode(history(entry, position)).find("BOOM") != std::string::npos) {
        controls_->after_step(plan);
        return make_error(Code::kInternal, "fake engine: BOOM");
      }
      if (entry.wants_hidden) {
        write_hidden(entry, position);
        continue;
      }
      write_logits(entry, position, std::span<float>(logits_).subspan(row * vocab, vocab));
      ++row;
    }
  }
  CHECK(row == static_cast<std::size_t>(plan.logits_count));
  controls_->after_step(plan);
  return std::span<const float>(logits_);
}

std::vector<sched::TokenId> FakeEngine::history(const sched::PlanEntry& entry, std::int32_t position) const {
  std::vector<sched::TokenId> out;
  for (std::int32_t i = 0; i <= position; ++i) {
    const auto page = static_cast<std::size_t>(entry.pages[static_cast<std::size_t>(i / sched::kPageTokens)]);
    out.push_back(kv_[page * sched::kPageTokens + static_cast<std::size_t>(i % sched::kPageTokens)]);
  }
  return out;
}

void FakeEngine::write_hidden(const sched::PlanEntry& entry, std::int32_t position) {
  const std::string text = tokenizer_.decode(history(entry, position));
  if (text.find("NAN!") != std::string::npos) {
    hidden_.resize(hidden_.size() + static_cast<std::size_t>(config_.hidden), std::numeric_limits<float>::quiet_NaN());
    return;
  }
  const std::uint64_t hash = std::hash<std::string>{}(text);
  for (std::int32_t i = 0; i < config_.hidden; ++i) {
    hidden_.push_back(static_cast<float>((hash >> (8 * i)) & 255) - 127.5F);
  }
}

void FakeEngine::write_logits(const sched::PlanEntry& entry, std::int32_t position, std::span<float> logits) const {
  const std::vector<sched::TokenId> tokens = history(entry, position);
  if (tokenizer_.decode(tokens).find("NAN!") != std::string::npos) {
    std::fill(logits.begin(), logits.end(), std::numeric_limits<float>::quiet_NaN());
    return;
  }
  logits[static_cast<std::size_t>(next_token(tokens))] = 40.0F;  // also at temperature 2 as good as certain
}

sched::TokenId FakeEngine::next_token(const std::vector<sched::TokenId>& tokens) const {
  const std::string text = tokenizer_.decode(tokens);
  const std::size_t say = text.rfind("SAY:");
  const std::size_t bar = say == std::string::npos ? say : text.find('|', say);
  if (bar == std::string::npos) {
    std::uint64_t hash = 1469598103934665603ULL;
    for (const sched::TokenId token : tokens) {
      hash = (hash ^ static_cast<std::uint64_t>(token)) * 1099511628211ULL;
      hash ^= hash >> 29;
    }
    return static_cast<sched::TokenId>('a' + hash % 26);
  }
  const std::string script = text.substr(say + 4, bar - say - 4);
  // The answer begins after the generation prompt of a chat, or right after the bar.
  constexpr std::string_view kAssistant = "<|im_start|>assistant\n";
  const std::size_t turn = text.rfind(kAssistant);
  const std::size_t begin = turn == std::string::npos ? bar + 1 : turn + kAssistant.size();
  std::size_t offset = 0;
  std::size_t answered = 0;  // tokens
  for (const sched::TokenId token : tokens) {
    if (offset >= begin) ++answered;
    offset += tokenizer_.decode(std::array{token}).size();
  }
  if (answered >= script.size()) return tokenizer_.end_tokens().front();
  const char next = script[answered];
  if (next == '\x01') return *tokenizer_.find("<think>");
  if (next == '\x02') return *tokenizer_.find("</think>");
  if (next == '\x03') return *tokenizer_.find("<tool_call>");
  if (next == '\x04') return *tokenizer_.find("</tool_call>");
  return static_cast<sched::TokenId>(static_cast<unsigned char>(next));  // the first 256 tokens are the bytes
}

LoadedModel fake_model(const FakeModelOptions& options, std::shared_ptr<FakeControls> controls) {
  text::VocabularyFixture vocabulary = text::tiny_vocabulary();
  for (const char* const tag : {"</think>", "<tool_call>", "</tool_call>"}) {
    vocabulary.tokens.emplace_back(tag);
    vocabulary.types.push_back(4);
  }
  vocabulary.tokens.emplace_back("<|endoftext|>");
  vocabulary.types.push_back(3);
  Result<text::Tokenizer> tokenizer = text::Tokenizer::from_tables(vocabulary.tables());
  CHECK(tokenizer.has_value());
  LoadedModel model;
  model.tokenizer = std::make_unique<text::Tokenizer>(*std::move(tokenizer));
  model.formats = std::make_unique<FormatCache>(*model.tokenizer);
  model.engine = std::make_unique<FakeEngine>(*model.tokenizer, options.kv_pages, std::move(controls));
  model.name = "fake";
  model.family = options.family;
  model.context_length = options.context_length;
  model.kv_pages = options.kv_pages;
  model.max_sequences = options.max_sequences;
  model.max_batch_tokens = options.max_batch_tokens;
  model.max_logits_rows = options.max_sequences + 64;
  model.golden_tokens = golden_prompt(model.tokenizer->first_padding_id());
  return model;
}

}  // namespace dormouse::worker
