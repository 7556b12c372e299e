// POST /v1/chat/completions and /v1/completions: from a job's events to SSE frames or one JSON body.
#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/log.h"
#include "http/sse.h"
#include "text/utf8_stream.h"
#include "worker/service.h"

namespace dormouse::worker {
namespace {

// While a streaming caller waits, and between pieces of its answer (reliability notes R-20).
constexpr std::chrono::seconds kPing{10};

// Everything one answer needs, in the handler's frame.
struct Answer {
  const Reply& reply;
  api::GenerationRequest request;
  api::ResponseHead head;
  std::shared_ptr<JobChannel> channel;
  MonoTime arrived;
  api::Usage usage;
  std::vector<api::Delta> choices;      // stream: what has not been written yet; otherwise the whole
  std::vector<std::int64_t> tokens;     // by choice
  std::vector<std::int64_t> reasoning;  // by choice
  std::vector<MonoTime> last_token;     // by choice; 0: none yet
  int open = 0;                         // choices without an end
  double first_token_s = -1;
  std::string_view reason = "abort";
};

bool is_chat(const Answer& answer) {
  return answer.request.kind == api::GenerationRequest::Kind::kChat;
}
double seconds_since(const Answer& answer, MonoTime then) {
  return std::chrono::duration<double>(answer.reply.service.clock.now() - then).count();
}

// Pieces of one call become one; its id comes with its name.
void add_call(const Answer& answer, int choice, text::ToolCallPiece piece, std::vector<api::ToolCallDelta>& calls) {
  if (piece.name.empty() && !calls.empty() && calls.back().index == piece.index) {
    calls.back().arguments += piece.arguments;
    return;
  }
  std::string id;
  if (!piece.name.empty()) id = fmt::format("call_{}_{}_{}", answer.reply.request_id, choice, piece.index);
  calls.push_back({.index = piece.index,
                   .id = std::move(id),
                   .name = std::move(piece.name),
                   .arguments = std::move(piece.arguments)});
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kToolCalls: return "tool_calls";
  }
  return "stop";
}

// What echo puts before the answer; of a prompt in tokens, what they stand for.
std::string echoed_prompt(const Answer& answer) {
  if (!answer.request.echo) return {};
  if (answer.request.prompt_tokens.empty()) return answer.request.prompt;
  text::Utf8Stream stream;
  std::string out = stream.push(answer.reply.service.model.tokenizer->decode(answer.request.prompt_tokens));
  out += stream.finish();
  return out;
}

void start_answer(Answer& answer, std::int64_t prompt_tokens) {
  const auto n = static_cast<std::size_t>(answer.request.n);
  answer.usage.prompt_tokens = prompt_tokens;
  answer.choices.resize(n);
  answer.tokens.assign(n, 0);
  answer.reasoning.assign(n, 0);
  answer.last_token.assign(n, MonoTime{});
  answer.open = answer.request.n;
  const std::string echoed = echoed_prompt(answer);
  for (int i = 0; i < answer.request.n; ++i) {
    api::Delta& delta = answer.choices[static_cast<std::size_t>(i)];
    delta.index = i;
    delta.content = echoed;
    delta.text_offset = api::characters(echoed);
  }
}

// One event into the choice's delta and the counts. kFailed is the caller's.
void absorb(Answer& answer, JobEvent event) {
  if (event.kind == JobEvent::Kind::kAccepted) return;
  const auto index = static_cast<std::size_t>(event.choice);
  const MonoTime now = answer.reply.service.clock.now();
  MonoTime& last = answer.last_token[index];
  if (last.ns == 0) {
    if (answer.first_token_s < 0) answer.first_token_s = seconds_since(answer, answer.arrived);
  } else {
    answer.reply.service.metrics.count_between_tokens(std::chrono::duration<double>(now - last).count());
  }
  last = now;
  answer.usage.completion_tokens += event.tokens - answer.tokens[index];
  answer.usage.reasoning_tokens += event.reasoning_tokens - answer.reasoning[index];
  // As the first choice found it: the prompt is counted once, too.
  if (event.choice == 0) answer.usage.cached_tokens = event.cached_tokens;
  answer.tokens[index] = event.tokens;
  answer.reasoning[index] = event.reasoning_tokens;
  api::Delta& delta = answer.choices[index];
  delta.content += event.piece.content;
  delta.reasoning_content += event.piece.reasoning;
  for (text::ToolCallPiece& piece : event.piece.calls) {
    add_call(answer, event.choice, std::move(piece), delta.tool_calls);
  }
  for (api::TokenLogprob& entry : event.logprobs) delta.logprobs.push_back(std::move(entry));
  if (event.kind == JobEvent::Kind::kFinished) {
    answer.reason = name_of(event.reason);
    delta.finish_reason = answer.reason;
    answer.open -= 1;
  }
}

std::string frame(const Answer& answer, const api::Delta& delta, bool first) {
  const bool each = answer.request.stream_options.continuous_usage_stats;
  const std::optional<api::Usage> usage = each ? std::optional(answer.usage) : std::nullopt;
  const bool usage_null = answer.request.stream_options.include_usage && !each;
  if (is_chat(answer)) return http::sse_data(api::chat_chunk(answer.head, delta, first, usage, usage_null));
  return http::sse_data(api::completion_chunk(answer.head, delta, usage, usage_null));
}

// The role delta comes first and alone: some clients take nothing else from that chunk.
std::string opening_frames(const Answer& answer) {
  std::string out;
  if (!is_chat(answer)) return out;
  for (const api::Delta& choice : answer.choices) {
    api::Delta role;
    role.index = choice.index;
    out += frame(answer, role, true);
  }
  return out;
}

// What has gathered since the last write, one chunk a choice: a slow reader gets fewer and longer ones.
std::string drain_frames(Answer& answer) {
  std::string out;
  for (api::Delta& delta : answer.choices) {
    const bool has_text = !delta.content.empty() || !delta.reasoning_content.empty() || !delta.logprobs.empty() ||
                          !delta.tool_calls.empty();
    const std::optional<std::string> finish = std::exchange(delta.finish_reason, std::nullopt);
    if (has_text) out += frame(answer, delta, false);
    if (finish.has_value()) {
      api::Delta end;
      end.index = delta.index;
      end.finish_reason = finish;
      out += frame(answer, end, false);
    }
    for (const api::TokenLogprob& entry : delta.logprobs) delta.text_offset += api::characters(entry.token);
    delta.content.clear();
    delta.reasoning_content.clear();
    delta.logprobs.clear();
    delta.tool_calls.clear();
  }
  return out;
}

Task<Status> open_stream(const Answer& answer) {
  http::Headers headers = base_headers(answer.reply, "text/event-stream");
  headers.set("cache-control", "no-store");
  headers.set("x-accel-buffering", "no");
  answer.reply.service.metrics.count_http(answer.reply.handler, answer.reply.exchange.request().method, 200);
  const Status started = co_await answer.reply.exchange.start_stream(200, std::move(headers));
  if (!started.has_value()) co_return started;
  std::string opening = opening_frames(answer);
  if (opening.empty()) co_return Status{};
  co_return co_await answer.reply.exchange.write(std::move(opening));
}

// Before the first byte a real status, after it an event and no [DONE].
Task<void> fail_stream(const Answer& answer, api::ApiError error) {
  http::Exchange& exchange = answer.reply.exchange;
  if (!exchange.started()) {
    co_await send_error(answer.reply, std::move(error));
    co_return;
  }
  answer.reply.service.metrics.count_error(api::row(error.code).code);
  std::string last = http::sse_data(api::error_body(error));
  const Status written = co_await exchange.write(std::move(last));
  if (written.has_value()) {
    const Status finished = co_await exchange.finish();
    if (!finished.has_value()) log_debug("event=finish_failed request_id={}", answer.reply.request_id);
  }
}

// A job's events, taken and absorbed. The error of a failed job, if it failed.
std::optional<api::ApiError> absorb_all(Answer& answer, std::vector<JobEvent> events) {
  for (JobEvent& event : events) {
    if (event.kind == JobEvent::Kind::kFailed) {
      answer.reason = "error";
      return std::move(event.error);
    }
    absorb(answer, std::move(event));
  }
  return std::nullopt;
}

bool has_tokens(const Answer& answer) {
  return answer.first_token_s >= 0;
}

// Headers wait for the first token, so that a failure before it is a real HTTP status; but not longer than one ping, so
// that nobody in between takes silence for death.
Task<void> stream_answer(Answer& answer) {
  http::Exchange& exchange = answer.reply.exchange;
  while (answer.open > 0) {
    std::vector<JobEvent> events = co_await answer.channel->take(kPing);
    if (answer.channel->closed()) {
      if (exchange.started()) exchange.abort();  // gone, too slow, or we stop: a broken stream says so
      co_return;
    }
    const bool waited_in_vain = events.empty();
    std::optional<api::ApiError> error = absorb_all(answer, std::move(events));
    if (error.has_value()) {
      api::ApiError failure = *std::move(error);
      co_await fail_stream(answer, std::move(failure));
      co_return;
    }
    if (!waited_in_vain && !has_tokens(answer)) continue;  // accepted, no token yet
    if (!exchange.started()) {
      const Status opened = co_await open_stream(answer);
      if (!opened.has_value()) co_return;
    }
    std::string out = waited_in_vain ? std::string(http::kSseComment) : drain_frames(answer);
    if (answer.open == 0) {
      if (answer.request.stream_options.include_usage) {
        out += http::sse_data(api::usage_chunk(answer.head, answer.request.kind, answer.usage));
      }
      out += http::kSseDone;
    }
    if (out.empty()) continue;  // all of it is held back
    const Status written = co_await exchange.write(std::move(out));
    if (!written.has_value()) co_return;
  }
  const Status finished = co_await exchange.finish();
  if (!finished.has_value()) log_debug("event=finish_failed request_id={}", answer.reply.request_id);
}

Task<void> whole_answer(Answer& answer) {
  while (answer.open > 0) {
    std::vector<JobEvent> events = co_await answer.channel->take(std::chrono::minutes(1));
    if (answer.channel->closed()) {
      if (!answer.reply.exchange.client_gone()) co_await send_error(answer.reply, api::ErrorCode::kDraining);
      co_return;
    }
    std::optional<api::ApiError> error = absorb_all(answer, std::move(events));
    if (error.has_value()) {
      api::ApiError failure = *std::move(error);
      co_await send_error(answer.reply, std::move(failure));
      co_return;
    }
  }
  std::string body = is_chat(answer) ? api::chat_response(answer.head, answer.choices, answer.usage)
                                     : api::completion_response(answer.head, answer.choices, answer.usage);
  co_await send_json(answer.reply, 200, std::move(body));
}

void report(const Answer& answer) {
  Service& service = answer.reply.service;
  const double total_s = seconds_since(answer, answer.arrived);
  service.metrics.count_finished({.reason = answer.reason,
                                  .first_token_s = answer.first_token_s,
                                  .total_s = total_s,
                                  .prompt_tokens = answer.usage.prompt_tokens,
                                  .generated_tokens = answer.usage.completion_tokens});
  log_info(
      "event=request request_id={} end={} prompt_tokens={} cached_tokens={} completion_tokens={} "
      "first_token_ms={:.0f} total_ms={:.0f}",
      answer.reply.request_id, answer.reason, answer.usage.prompt_tokens, answer.usage.cached_tokens,
      answer.usage.completion_tokens, answer.first_token_s * 1000, total_s * 1000);
}

api::ApiResult<api::GenerationRequest> read_request(const Reply& reply, api::GenerationRequest::Kind kind) {
  Service& service = reply.service;
  if (service.state == ServiceState::kDraining) return tl::unexpected(api::ApiError{api::ErrorCode::kDraining, {}, {}});
  const std::string& body = reply.exchange.request().body;
  api::ApiResult<api::GenerationRequest> request =
      kind == api::GenerationRequest::Kind::kChat ? api::parse_chat_request(body) : api::parse_completion_request(body);
  if (!request.has_value()) return request;
  // After the parse: a wrong request is wrong also while the model wakes.
  if (service.state == ServiceState::kLoading) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kModelLoading, {}, {}});
  }
  if (!is_served(service, request->model)) {
    return tl::unexpected(api::ApiError{api::ErrorCode::kModelNotFound, {}, "model"});
  }
  for (const std::string& field : request->ignored_fields) service.metrics.count_ignored_field(field);
  return request;
}

Task<void> run_job(const Reply& reply, api::GenerationRequest request, Job job) {
  Service& service = reply.service;
  const auto prompt_tokens = static_cast<std::int64_t>(job.prompt.size());
  Result<std::shared_ptr<JobChannel>> channel = service.engine->submit(std::move(job));
  if (!channel.has_value()) {
    co_await send_error(reply, api::ErrorCode::kQueueFull);
    co_return;
  }
  Answer answer{.reply = reply,
                .request = std::move(request),
                .head = {},
                .channel = *std::move(channel),
                .arrived = service.clock.now(),
                .usage = {},
                .choices = {},
                .tokens = {},
                .reasoning = {},
                .last_token = {}};
  const bool chat = is_chat(answer);
  answer.head.id = fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", reply.request_id);
  answer.head.created = service.clock.wall().us / 1'000'000;
  answer.head.model = service.model_name;
  start_answer(answer, prompt_tokens);
  EngineLoop* const engine = service.engine;
  const JobId id = answer.channel->id();
  const auto give_up = [engine, id, &service, request_id = reply.request_id] {
    engine->cancel(id, [&service, request_id](JobTotals totals) {
      if (service.report_ended) service.report_ended(request_id, totals);
    });
  };
  reply.exchange.on_client_gone(give_up);
  if (answer.request.stream) {
    answer.channel->set_bounded(give_up);
    co_await stream_answer(answer);
  } else {
    co_await whole_answer(answer);
  }
  reply.exchange.on_client_gone({});
  if (reply.exchange.client_gone()) give_up();
  engine->cancel(id);  // ended by itself, or given up before: only forgotten
  report(answer);
}

}  // namespace

Task<void> handle_generation(const Reply& reply, api::GenerationRequest::Kind kind) {
  api::ApiResult<api::GenerationRequest> request = read_request(reply, kind);
  if (!request.has_value()) {
    api::ApiError error = request.error();
    co_await send_error(reply, std::move(error));
    co_return;
  }
  const api::ApiResult<RequestLimits> limits = limits_of(reply.exchange.request());
  if (!limits.has_value()) {
    api::ApiError error = limits.error();
    co_await send_error(reply, std::move(error));
    co_return;
  }
  api::ApiResult<Job> job = co_await prepare_off_loop(reply.service, *request, *limits);
  if (!job.has_value()) {
    api::ApiError error = job.error();
    co_await send_error(reply, std::move(error));
    co_return;
  }
  if (const auto tenant = reply.exchange.request().headers.find("x-dormouse-tenant"); tenant.has_value()) {
    job->tenant = std::string(tenant->substr(0, 128));
  }
  // Counted from before the first await that could see a drain to after the last byte: a drain waits for it.
  reply.service.active += 1;
  co_await run_job(reply, *std::move(request), *std::move(job));
  reply.service.active -= 1;
  if (reply.service.active == 0 && reply.service.on_quiet) reply.service.on_quiet();
}

}  // namespace dormouse::worker
