// An OpenAI-compatible server that is not ours, as small as they come: one model named "their-name", usage on the last
// chunk only and only when asked, and what goes wrong goes wrong on demand.
//   --port N          listens on 127.0.0.1:N
//   --load-until FILE /health says 503 until FILE exists
//   --no-health       /health is 404
//   --no-embeddings   /v1/embeddings is what llama-server says where they are not switched on
//   --die             says why on stderr and exits with 3 before it listens
//   --ignore-term     SIGTERM changes nothing
// A prompt (or last message) of "say" is answered with five deltas, "die" kills the server after two, "hold FILE" waits
// after two until FILE exists, "split" is answered with kSplitText, one write a byte: cut inside characters and
// "data:".
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "api/embeddings.h"
#include "api/generation.h"
#include "http/server.h"
#include "http/sse.h"

namespace dormouse::fake_upstream {
namespace {

constexpr std::string_view kModel = "their-name";
constexpr std::int64_t kPromptTokens = 7;
constexpr int kDeltas = 5;
constexpr std::string_view kSplitText = "月光é😀";  // two to four bytes a character

struct Options {
  unsigned short port = 0;
  std::string load_until;
  bool has_health = true;
  bool has_embeddings = true;
  bool dies = false;
  bool ignores_term = false;
};

struct Upstream {
  asio::io_context& io;
  Options options;
};

Task<void> wait_for_file(asio::io_context& io, std::string path) {
  while (!std::filesystem::exists(path)) {
    asio::steady_timer timer(io, std::chrono::milliseconds(5));
    co_await timer.async_wait(kTuple);
  }
}

Task<void> answer(http::Exchange& exchange, int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.set("content-type", "application/json");
  response.body = std::move(body);
  co_await exchange.send(std::move(response));
}

// A byte a write. Inside a character and inside a field's name the reader has time to take what is there.
Task<Status> write_split(asio::io_context& io, http::Exchange& exchange, std::string bytes) {
  constexpr std::string_view kField = "data: ";
  std::size_t line = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string byte(1, bytes[i]);
    const Status written = co_await exchange.write(std::move(byte));
    if (!written.has_value()) co_return written;
    if (bytes[i] == '\n') line = i + 1;
    const bool is_inside = i + 1 < bytes.size() && (static_cast<unsigned char>(bytes[i + 1]) & 0xC0U) == 0x80U;
    if (!is_inside && i - line >= kField.size()) continue;
    asio::steady_timer timer(io, std::chrono::milliseconds(1));
    co_await timer.async_wait(kTuple);
  }
  co_return Status{};
}

Task<void> generate(Upstream& upstream, http::Exchange& exchange, api::GenerationRequest request) {
  const std::string prompt = request.messages.empty() ? request.prompt : request.messages.back().content;
  const api::ResponseHead head{.id = "theirs", .created = 1, .model = std::string(kModel)};
  api::Usage usage{.prompt_tokens = kPromptTokens, .completion_tokens = kDeltas};
  if (!request.stream) {
    api::Delta whole;
    whole.content = "t0 t1 t2 t3 t4 ";
    whole.finish_reason = "stop";
    std::string body = api::chat_response(head, {whole}, usage);
    co_await answer(exchange, 200, std::move(body));
    co_return;
  }
  http::Headers headers;
  headers.set("content-type", "text/event-stream");
  co_await exchange.start_stream(200, std::move(headers));
  for (int i = 0; i < kDeltas; ++i) {
    if (i == 2 && prompt == "die") ::_exit(9);
    if (i == 2 && prompt.starts_with("hold ")) {
      std::string path = prompt.substr(5);
      co_await wait_for_file(upstream.io, std::move(path));
    }
    api::Delta delta;
    const bool is_split = prompt == "split";
    delta.content = is_split ? std::string(kSplitText) : "t" + std::to_string(i) + " ";
    if (i + 1 == kDeltas) delta.finish_reason = "stop";
    std::string frame = http::sse_data(api::chat_chunk(head, delta, i == 0, std::nullopt, false));
    Status written;
    if (is_split) {
      written = co_await write_split(upstream.io, exchange, std::move(frame));
    } else {
      written = co_await exchange.write(std::move(frame));
    }
    if (!written.has_value()) co_return;
  }
  std::string last;
  if (request.stream_options.include_usage) last = http::sse_data(api::usage_chunk(head, request.kind, usage));
  last += http::kSseDone;
  co_await exchange.write(std::move(last));
  co_await exchange.finish();
}

// Of each input a vector that names its place.
Task<void> embed(Upstream& upstream, http::Exchange& exchange) {
  std::string body =
      R"({"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`",)"
      R"("type":"not_supported_error"}})";
  int status = 501;
  const api::ApiResult<api::EmbeddingsRequest> parsed = api::parse_embeddings_request(exchange.request().body);
  if (upstream.options.has_embeddings && parsed.has_value() && parsed->model == kModel) {
    api::EmbeddingsWriter writer(parsed->encoding);
    for (std::size_t i = 0; i < parsed->inputs.size(); ++i) {
      const std::array<float, 2> vector = {0.5F, static_cast<float>(i + 1)};
      writer.add(vector);
    }
    body = writer.finish(kModel, kPromptTokens);
    status = 200;
  } else if (upstream.options.has_embeddings) {
    body = R"({"error":{"message":"not what was agreed","type":"invalid_request_error","code":400}})";
    status = 400;
  }
  co_await answer(exchange, status, std::move(body));
}

Task<void> handle(Upstream& upstream, http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  std::string body = "{}";
  if (request.path == "/health" && upstream.options.has_health) {
    const bool loading = !upstream.options.load_until.empty() && !std::filesystem::exists(upstream.options.load_until);
    co_await answer(exchange, loading ? 503 : 200, std::move(body));
  } else if (request.path == "/v1/models") {
    body = api::models_response({{.id = std::string(kModel), .created = 1, .max_model_len = 0}});
    co_await answer(exchange, 200, std::move(body));
  } else if (request.path == "/v1/embeddings") {
    co_await embed(upstream, exchange);
  } else if (request.path == "/v1/chat/completions" || request.path == "/v1/completions") {
    const bool is_chat = request.path == "/v1/chat/completions";
    api::ApiResult<api::GenerationRequest> parsed =
        is_chat ? api::parse_chat_request(request.body) : api::parse_completion_request(request.body);
    if (parsed.has_value() && parsed->model == kModel) {
      api::GenerationRequest wanted = *std::move(parsed);
      co_await generate(upstream, exchange, std::move(wanted));
    } else {
      body = R"({"error":{"message":"no such model in /secret/path","type":"invalid_request_error","code":404}})";
      co_await answer(exchange, 404, std::move(body));
    }
  } else {
    co_await answer(exchange, 404, std::move(body));
  }
}

Options parse(int argc, char** argv) {
  Options out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (flag == "--port") std::from_chars(value.data(), value.data() + value.size(), out.port);
    if (flag == "--load-until") out.load_until = std::string(value);
    if (flag == "--no-health") out.has_health = false;
    if (flag == "--no-embeddings") out.has_embeddings = false;
    if (flag == "--die") out.dies = true;
    if (flag == "--ignore-term") out.ignores_term = true;
  }
  return out;
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::printf("theirs: loading\n");
  std::fflush(stdout);
  if (options.dies) {
    std::fprintf(stderr, "theirs: CUDA error: out of memory\n");
    return 3;
  }
  if (options.ignores_term) std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  asio::io_context io;
  Upstream upstream{io, options};
  http::Server server(
      io, http::ServerLimits{}, [&upstream](http::Exchange& exchange) { return handle(upstream, exchange); },
      [](int, std::string_view) { return std::string("{}"); });
  const http::Address address{.kind = http::Address::Kind::kTcp, .path = {}, .host = "127.0.0.1", .port = options.port};
  const Result<http::Address> bound = server.listen(address, "data");
  if (!bound.has_value()) {
    std::fprintf(stderr, "theirs: %s\n", bound.error().message.c_str());
    return 4;
  }
  std::printf("theirs: listening\n");
  std::fflush(stdout);
  io.run();
  return 0;
}

}  // namespace
}  // namespace dormouse::fake_upstream

int main(int argc, char** argv) {
  return dormouse::fake_upstream::run(argc, argv);
}
