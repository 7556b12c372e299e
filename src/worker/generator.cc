#include "worker/generator.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace dormouse::worker {
namespace {

// A job has at most api::kMaxChoices = 8 choices.
constexpr sched::SequenceId kChoicesPerJob = 16;
static_assert(api::kMaxChoices <= 16);
constexpr sched::SequenceId kGoldenSequence = 0;  // job ids start at 1
static_assert(StepPace::kChunk == sched::kMinChunk);

sched::SchedulerOptions scheduler_options(const LoadedModel& model, const GeneratorOptions& options) {
  sched::SchedulerOptions out;
  out.max_sequences = model.max_sequences;
  out.max_batch_tokens = model.max_batch_tokens;
  out.max_logits_rows = model.max_logits_rows;
  out.kv_pages = model.kv_pages;
  out.max_waiting = options.max_waiting;
  out.speculation = options.speculation;
  out.share_prefixes = options.share_prefixes;
  if (options.prefix_cache_bytes != kAllOfTheCache) {
    const auto page_bytes = static_cast<std::int64_t>(model.engine->kv_bytes_per_token()) * sched::kPageTokens;
    out.max_idle_pages =
        static_cast<std::int32_t>(std::min<std::int64_t>(options.prefix_cache_bytes / page_bytes, model.kv_pages));
  }
  return out;
}

void append(OutputPiece& to, OutputPiece from) {
  to.content += from.content;
  to.reasoning += from.reasoning;
  std::move(from.calls.begin(), from.calls.end(), std::back_inserter(to.calls));
}

std::optional<AnswerConstraint> constraint_of(const Job& job, const text::Tokenizer& tokenizer) {
  if (!job.format.has_value()) return std::nullopt;
  const ThinkingTokens tokens{
      .think = job.output.think, .end_think = job.output.end_think, .gap = tokenizer.find("\n\n")};
  return AnswerConstraint(*job.format, job.thinking, tokens);
}

}  // namespace

struct Generator::Choice {
  JobId job = 0;
  int index = 0;
  std::shared_ptr<const Job> request;  // shared by the choices of one job
  engine::SamplingParams sampling;     // with this choice's seed
  OutputText output;
  LoopGuard loop_guard = {};
  std::span<const text::TokenId> forced = {};  // of request->end_thinking: to be written before anything is sampled
  bool thinking_ended = false;                 // by us
  std::optional<AnswerConstraint> constraint;
  std::int32_t generated = 0;
  std::int64_t cached = 0;  // prompt tokens
};

Generator::Generator(LoadedModel& model, const GeneratorOptions& options, const Clock& clock)
    : model_(model),
      options_(options),
      clock_(clock),
      scheduler_(scheduler_options(model, options)),
      sampler_(model.engine->config().vocab, model.tokenizer->first_padding_id()),
      golden_pending_(model.golden_pending) {
  rows_.reserve(static_cast<std::size_t>(model.max_sequences) + 1);
  planned_.reserve(static_cast<std::size_t>(model.max_sequences) + 1);
  pooled_.reserve(static_cast<std::size_t>(model.max_sequences) + 1);
}

Generator::~Generator() = default;

void Generator::submit_golden() {
  golden_submitted_ = true;
  sched::SequenceRequest request;
  request.id = kGoldenSequence;
  request.prompt.assign(model_.golden_tokens.begin(), model_.golden_tokens.begin() + kGoldenRideTokens);
  request.wants_all_logits = true;
  request.urgent = true;
  const Status submitted = scheduler_.submit(std::move(request));
  CHECK(submitted.has_value());  // two tokens fit any cache, and urgent ones do not queue
}

void Generator::submit(JobId id, Job job) {
  if (golden_pending_ && !golden_submitted_) submit_golden();
  const auto request = std::make_shared<const Job>(std::move(job));
  std::vector<sched::SequenceId> accepted;
  if (const Status status = submit_sequences(id, request, accepted); !status.has_value()) {
    for (const sched::SequenceId sequence : accepted) forget(sequence);
    const bool is_full = status.error().code == Code::kOverloaded;
    JobEvent event;
    event.job = id;
    event.kind = JobEvent::Kind::kFailed;
    event.error.code = is_full ? api::ErrorCode::kQueueFull : api::ErrorCode::kContextLengthExceeded;
    events_.push_back(std::move(event));
    return;
  }
  prompt_tokens_ += request->prompt.size();
  totals_[id].prompt_tokens = static_cast<std::int64_t>(request->prompt.size());
  jobs_.emplace(id, std::move(accepted));
  JobEvent event;
  event.job = id;
  event.kind = JobEvent::Kind::kAccepted;
  events_.push_back(std::move(event));
}

// One for each choice, or one that is pooled. `accepted` also where a later one was not.
Status Generator::submit_sequences(JobId id, const std::shared_ptr<const Job>& request,
                                   std::vector<sched::SequenceId>& accepted) {
  for (int i = 0; i < request->choices; ++i) {
    sched::SequenceRequest sequence;
    sequence.id = id * kChoicesPerJob + static_cast<sched::SequenceId>(i);
    sequence.tenant = request->tenant;
    sequence.prompt = request->prompt;
    sequence.max_new_tokens = request->max_tokens;
    sequence.wants_hidden = request->pooling.has_value();
    // What an answer is held to is looked up in whole rows.
    sequence.top_is_enough = !request->format.has_value() && sampler_.is_top_enough(request->sampling);
    const sched::SequenceId sequence_id = sequence.id;
    TRY_STATUS(scheduler_.submit(std::move(sequence)));
    accepted.push_back(sequence_id);
    if (request->pooling.has_value()) {
      pools_.emplace(sequence_id, StatePool(*request->pooling, model_.engine->config().hidden));
      continue;
    }
    engine::SamplingParams sampling = request->sampling;
    sampling.seed += static_cast<std::uint64_t>(i);
    choices_.emplace(sequence_id,
                     std::make_unique<Choice>(Choice{.job = id,
                                                     .index = i,
                                                     .request = request,
                                                     .sampling = std::move(sampling),
                                                     .output = OutputText(request->output),
                                                     .constraint = constraint_of(*request, *model_.tokenizer),
                                                     .generated = 0,
                                                     .cached = 0}));
  }
  return {};
}

void Generator::forget(sched::SequenceId sequence) {
  scheduler_.end(sequence);
  choices_.erase(sequence);
  pools_.erase(sequence);
}

JobTotals Generator::cancel(JobId id) {
  const auto known = totals_.find(id);
  const JobTotals totals = known != totals_.end() ? known->second : JobTotals{};
  if (known != totals_.end()) totals_.erase(known);
  end_job(id);
  return totals;
}

void Generator::end_job(JobId id) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  for (const sched::SequenceId sequence : job->second) forget(sequence);
  jobs_.erase(job);
}

Status Generator::step() {
  const sched::BatchPlan& plan =
      scheduler_.plan({.prompt_rows_beside_decodes = pace_.prompt_rows_within(options_.prefill_budget),
                       .draft_cost = pace_.draft_cost()});
  if (plan.empty()) return {};
  const MonoTime begin = clock_.now();
  const Result<std::span<const engine::RowLogits>> logits = model_.engine->step_rows(plan);
  if (logits.has_value()) pace_.observe(rows_of(plan), clock_.now() - begin);
  planned_.clear();
  for (const sched::PlanEntry& entry : plan.entries) planned_.push_back(entry.sequence);
  if (!logits.has_value()) {
    log_error("event=step_failed error=\"{}\"", logits.error().message);
    scheduler_.abandon();
    return fail_plan(planned_);
  }
  std::size_t row = 0;
  std::span<const float> golden;
  rows_.clear();
  for (const sched::PlanEntry& entry : plan.entries) {
    const auto count = static_cast<std::size_t>(entry.logits_rows());
    if (entry.sequence == kGoldenSequence) {
      const std::span<const float> first = (*logits)[row].all;
      golden = {first.data(), count * first.size()};
    } else if (entry.wants_logits) {
      const std::size_t wanted = 1 + static_cast<std::size_t>(entry.draft_count);
      rows_.push_back({.sequence = entry.sequence, .logits = logits->subspan(row + count - wanted, wanted)});
    }
    row += count;
  }
  pool_states(plan);
  steps_ += 1;
  scheduler_.commit();
  if (!golden.empty()) {
    scheduler_.end(kGoldenSequence);
    golden_pending_ = false;
    TRY_STATUS(check_golden(golden));
  }
  for (const Rows& ready : rows_) consume(ready);
  for (const sched::SequenceId sequence : pooled_) finish_embedding(sequence);
  return {};
}

// Before commit(), after which the plan's spans are gone.
void Generator::pool_states(const sched::BatchPlan& plan) {
  pooled_.clear();
  const std::span<const float> states = model_.engine->hidden();
  const auto hidden = static_cast<std::size_t>(model_.engine->config().hidden);
  std::size_t row = 0;
  for (const sched::PlanEntry& entry : plan.entries) {
    if (!entry.wants_hidden) continue;
    const std::size_t count = entry.tokens.size();
    pools_.at(entry.sequence).add(entry.start_position, states.subspan(row * hidden, count * hidden));
    row += count;
    if (entry.start_position + static_cast<std::int32_t>(count) == entry.prompt_length) {
      pooled_.push_back(entry.sequence);
    }
  }
}

void Generator::finish_embedding(sched::SequenceId sequence) {
  const auto pool = pools_.find(sequence);
  if (pool == pools_.end()) return;
  const JobId job = sequence / kChoicesPerJob;
  Result<std::vector<float>> vector = pool->second.vector();
  if (!vector.has_value()) {
    log_error("event=pooling_failed error=\"{}\"", vector.error().message);
    return fail(job, api::ErrorCode::kInternalError);
  }
  JobEvent event;
  event.job = job;
  event.kind = JobEvent::Kind::kFinished;
  event.embedding = *std::move(vector);
  events_.push_back(std::move(event));
  end_job(job);
}

Status Generator::check_golden(std::span<const float> rows) {
  TRY(GoldenResult result, golden_result(rows, model_.engine->config().vocab));
  if (options_.spoil_golden) return make_error(Code::kDataLoss, "golden: spoiled by DORMOUSE_FAULT");
  if (model_.golden.has_value() && !begins_like(*model_.golden, result, kGoldenRideTokens)) {
    return make_error(Code::kDataLoss, "golden: the rows differ from this file's and binary's record");
  }
  return {};
}

// Row by row as without guesses: the same sampler over the same tokens with the same random numbers, which come from a
// counter (sampler.h); a guess decides nothing but whether the next row is of use.
void Generator::consume(const Rows& rows) {
  std::span<const engine::RowLogits> logits = rows.logits;
  while (consume_row(rows.sequence, logits.front())) logits = logits.subspan(1);
}

// The next token of an answer: written for the model, or its own. Held to a format where there is one: when no token is
// allowed the sequence ends, it never goes on without.
Result<engine::Sample> Generator::next_token(Choice& choice, const engine::RowLogits& logits,
                                             std::span<const sched::TokenId> tokens) {
  const auto prompt = tokens.first(choice.request->prompt.size());
  const auto generated = tokens.subspan(prompt.size());
  engine::Sample out;
  if (!choice.forced.empty()) {
    out.token = choice.forced.front();
    choice.forced = choice.forced.subspan(1);
  } else if (!choice.constraint.has_value()) {
    if (!logits.top.empty()) return sampler_.sample_top(logits.top, choice.sampling, generated.size());
    return sampler_.sample(logits.all, choice.sampling, prompt, generated);
  } else {
    TRY(const grammar::TokenMask allowed, choice.constraint->allowed());
    if (allowed.empty()) return make_error(Code::kInternal, "generator: an answer that is whole goes on");
    TRY(out, sampler_.sample(logits.all, choice.sampling, prompt, generated, allowed));
  }
  if (choice.constraint.has_value()) {
    TRY_STATUS(choice.constraint->accept(out.token));
  }
  return out;
}

// One token of an answer. Whether it had been guessed and the answer goes on.
bool Generator::consume_row(sched::SequenceId sequence, const engine::RowLogits& logits) {
  const auto found = choices_.find(sequence);
  if (found == choices_.end()) return false;  // its job failed earlier in this step
  Choice& choice = *found->second;
  const std::span<const sched::TokenId> tokens = scheduler_.tokens(sequence);
  const Result<engine::Sample> sample = next_token(choice, logits, tokens);
  if (!sample.has_value()) {
    log_error("event=sampling_failed error=\"{}\"", sample.error().message);
    const bool is_too_complex = sample.error().code == Code::kTooLarge;
    fail(choice.job, is_too_complex ? api::ErrorCode::kGrammarTooComplex : api::ErrorCode::kInternalError);
    return false;
  }
  generated_tokens_ += 1;
  totals_[choice.job].generated_tokens += 1;
  choice.generated += 1;
  choice.cached = scheduler_.cached_tokens(sequence);
  OutputPiece piece;
  const Verdict verdict = judge(choice, tokens, sample->token, piece);
  if (!verdict.is_end) {
    emit(choice, JobEvent::Kind::kPiece, std::move(piece), *sample);
    return scheduler_.append(sequence, sample->token);
  }
  append(piece, choice.output.finish());
  emit(choice, JobEvent::Kind::kFinished, std::move(piece), *sample);
  const bool is_call = verdict.reason == FinishReason::kStop && choice.output.has_calls();
  events_.back().reason = is_call ? FinishReason::kToolCalls : verdict.reason;
  end_choice(sequence);
  return false;
}

// What the token adds to the answer, and whether the answer ends with it. Thoughts that go round in circles, or take
// more than their budget, end first, so that there is an answer.
Generator::Verdict Generator::judge(Choice& choice, std::span<const sched::TokenId> tokens, text::TokenId token,
                                    OutputPiece& piece) {
  const Job& request = *choice.request;
  const auto ends = model_.tokenizer->end_tokens();
  const bool is_end = !request.ignore_eos && std::find(ends.begin(), ends.end(), token) != ends.end();
  if (is_end) return {.is_end = true, .reason = FinishReason::kStop};
  piece = choice.output.push(token, model_.tokenizer->token_bytes(token));
  const bool is_whole = choice.constraint.has_value() && choice.constraint->is_finished();
  if (is_whole || choice.output.stopped()) return {.is_end = true, .reason = FinishReason::kStop};
  if (choice.generated >= request.max_tokens) return {.is_end = true, .reason = FinishReason::kLength};
  const bool may_end_thinking = choice.output.is_reasoning() && !choice.thinking_ended && !request.end_thinking.empty();
  // Who ignores the end of an answer measures, and wants all the tokens asked for; a format says itself what may
  // repeat.
  const bool is_free = !choice.constraint.has_value() || choice.output.is_reasoning();
  const bool circling =
      is_free && !request.ignore_eos && choice.loop_guard.is_circling(tokens.subspan(request.prompt.size()), token);
  if (circling) circles_ += 1;
  if (circling && !may_end_thinking) return {.is_end = true, .reason = FinishReason::kLength};
  const bool used_up =
      request.thinking_budget.has_value() && choice.output.reasoning_tokens() >= *request.thinking_budget;
  if (may_end_thinking && (circling || used_up)) end_thinking(choice);
  return {};
}

void Generator::end_thinking(Choice& choice) {
  choice.thinking_ended = true;
  choice.forced = choice.request->end_thinking;
  choice.loop_guard.forget();
}

void Generator::end_choice(sched::SequenceId sequence) {
  const auto choice = choices_.find(sequence);
  scheduler_.end(sequence);
  const auto job = jobs_.find(choice->second->job);
  std::erase(job->second, sequence);
  if (job->second.empty()) jobs_.erase(job);
  choices_.erase(choice);
}

void Generator::emit(const Choice& choice, JobEvent::Kind kind, OutputPiece piece, const engine::Sample& sample) {
  JobEvent event;
  event.job = choice.job;
  event.kind = kind;
  event.choice = choice.index;
  event.piece = std::move(piece);
  event.tokens = choice.generated;
  event.reasoning_tokens = choice.output.reasoning_tokens();
  event.cached_tokens = choice.cached;
  if (choice.sampling.logprob_count >= 0) {
    api::TokenLogprob entry;
    entry.token = model_.tokenizer->token_bytes(sample.token);
    entry.logprob = static_cast<double>(sample.logprob);
    for (const engine::TokenScore& score : sample.top) {
      entry.top.emplace_back(model_.tokenizer->token_bytes(score.token), static_cast<double>(score.logprob));
    }
    event.logprobs.push_back(std::move(entry));
  }
  events_.push_back(std::move(event));
}

void Generator::fail(JobId job, api::ErrorCode code) {
  end_job(job);
  JobEvent event;
  event.job = job;
  event.kind = JobEvent::Kind::kFailed;
  event.error.code = code;
  events_.push_back(std::move(event));
}

Status Generator::fail_plan(const std::vector<sched::SequenceId>& sequences) {
  for (const sched::SequenceId sequence : sequences) {
    // A model that cannot even compute its golden rows answers nobody.
    if (sequence == kGoldenSequence) return make_error(Code::kInternal, "golden: the engine's first step failed");
    const JobId job = sequence / kChoicesPerJob;
    if (jobs_.contains(job)) fail(job, api::ErrorCode::kInternalError);
  }
  return {};
}

std::vector<JobEvent> Generator::take_events() {
  return std::exchange(events_, {});
}

EngineSnapshot Generator::snapshot() const {
  EngineSnapshot out;
  out.steps = steps_;
  // The golden rows are nobody's request.
  const std::int64_t golden = golden_pending_ && golden_submitted_ ? 1 : 0;
  const std::int64_t golden_running = scheduler_.is_running(kGoldenSequence) ? 1 : 0;
  out.running = scheduler_.running() - golden_running;
  out.waiting = scheduler_.waiting() - (golden - golden_running);
  out.prompt_tokens = prompt_tokens_;
  out.generated_tokens = generated_tokens_;
  out.circles = circles_;
  out.preemptions = scheduler_.preemptions();
  out.kv_pages = model_.kv_pages;
  out.kv_pages_free = scheduler_.free_pages();
  out.kv_pages_idle = scheduler_.idle_pages();
  out.draft_tokens = scheduler_.draft_tokens();
  out.accepted_tokens = scheduler_.accepted_tokens();
  out.slow_step = pace_.slow_step(model_.max_batch_tokens);
  out.prefill_chunk = pace_.prompt_rows_within(options_.prefill_budget);
  out.prefix_queries = scheduler_.prefix_queries();
  out.prefix_hits = scheduler_.prefix_hits();
  return out;
}

}  // namespace dormouse::worker
