#include "cli/admin_client.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "api/generation.h"
#include "base/clock.h"
#include "gateway/admin_wire.h"
#include "http/client.h"

namespace dormouse::cli {
namespace {

// wake and sleep wait for a load or a drain.
constexpr std::chrono::milliseconds kVerbDeadline{11 * 60'000};
constexpr std::chrono::milliseconds kTick{250};

http::ClientRequest ask_for(const std::string& method, const std::string& target, const std::string& body) {
  http::ClientRequest request;
  request.method = method;
  request.target = target;
  request.body = body;
  request.header_deadline = kVerbDeadline;
  return request;
}

Error said_by_server(int status, const std::string& body) {
  const Result<api::ParsedChunk> parsed = api::parse_chunk(body);
  std::string message = fmt::format("the server answered {}", status);
  if (parsed.has_value() && parsed->error.has_value()) {
    message = parsed->error->message.empty() ? std::string(api::row(parsed->error->code).text) : parsed->error->message;
  }
  const Code code = status == 404 ? Code::kNotFound : status == 400 ? Code::kInvalidArgument : Code::kInternal;
  return make_error(code, std::move(message));
}

Task<void> exchange(http::Client& client, http::Address address, http::ClientRequest request,
                    std::optional<Result<std::string>>& out) {
  Result<std::unique_ptr<http::ClientResponse>> response = co_await client.send(std::move(address), std::move(request));
  if (!response.has_value()) {
    out.emplace(Error(response.error()));
    co_return;
  }
  Result<std::string> body = co_await (*response)->read_all();
  const int status = (*response)->status();
  if (body.has_value() && status >= 300) {
    out.emplace(said_by_server(status, *body));
    co_return;
  }
  out.emplace(std::move(body));
}

Task<void> read_pieces(http::Client& client, http::Address address, http::ClientRequest request,
                       const std::function<void(std::string_view)>& on_piece, std::optional<Status>& out) {
  const Result<std::unique_ptr<http::ClientResponse>> response =
      co_await client.send(std::move(address), std::move(request));
  if (!response.has_value()) {
    out.emplace(Error(response.error()));
    co_return;
  }
  if ((*response)->status() >= 300) {
    const Result<std::string> body = co_await (*response)->read_all();
    out.emplace(said_by_server((*response)->status(), body.value_or("")));
    co_return;
  }
  while (true) {
    const Result<std::optional<std::string>> piece = co_await (*response)->read_some();
    if (!piece.has_value()) {
      out.emplace(Error(piece.error()));
      co_return;
    }
    if (!piece->has_value()) break;
    on_piece(**piece);
  }
  out.emplace();
}

}  // namespace

Status AdminClient::stream(const std::string& target, const std::function<void(std::string_view)>& on_piece) {
  TRY(http::Address address, http::Address::parse("unix:" + socket_));
  asio::io_context io{1};
  http::Client client(io);
  http::ClientRequest request;
  request.target = target;
  std::optional<Status> out;
  asio::co_spawn(io, read_pieces(client, std::move(address), std::move(request), on_piece, out), asio::detached);
  while (!out.has_value() && io.run_one() > 0) {
  }
  return out.value_or(make_error(Code::kInternal, "no answer"));
}

Result<std::string> AdminClient::call(const std::string& method, const std::string& target, const std::string& body) {
  return finish(ask_for(method, target, body), {});
}

Result<std::string> AdminClient::get_within(const std::string& target, std::chrono::milliseconds deadline) {
  http::ClientRequest request = ask_for("GET", target, "");
  request.header_deadline = deadline;
  return finish(std::move(request), {});
}

Result<std::string> AdminClient::post_waiting(const std::string& target,
                                              const std::function<void(double seconds)>& waiting) {
  return finish(ask_for("POST", target, ""), waiting);
}

Result<std::string> AdminClient::finish(http::ClientRequest request,
                                        const std::function<void(double seconds)>& waiting) {
  TRY(http::Address address, http::Address::parse("unix:" + socket_));
  asio::io_context io{1};
  http::Client client(io);
  const SystemClock clock;
  const MonoTime begin = clock.now();
  std::optional<Result<std::string>> out;
  asio::co_spawn(io, exchange(client, std::move(address), std::move(request), out), asio::detached);
  while (!out.has_value() && !io.stopped()) {
    if (io.run_one_for(kTick) > 0 || io.stopped() || !waiting) continue;
    waiting(std::chrono::duration<double>(clock.now() - begin).count());
  }
  if (!out.has_value()) return make_error(Code::kInternal, "no answer");
  return *std::move(out);
}

void print_notices(AdminClient& client) {
  const Result<std::string> body = client.get("/admin/v1/status");
  if (!body.has_value()) return;
  const Result<gateway::StatusView> status = gateway::parse_status(*body);
  if (!status.has_value()) return;
  for (const std::string& notice : status->notices) fmt::print("! {}\n", notice);
}

void report_failure(Context& context, const Error& error) {
  if (error.code == Code::kUnavailable) {
    fmt::print(stderr, "{}\n",
               context.say("no server is running here; start one with `dormouse serve --demo` (or name its --data-dir)",
                           "这里没有正在运行的服务；用 `dormouse serve --demo` 启动（或用 --data-dir 指明它的目录）"));
    context.exit_code = kExitNoServer;
    return;
  }
  const bool is_name = error.code == Code::kNotFound && error.message == api::row(api::ErrorCode::kModelNotFound).text;
  fmt::print(stderr, "{}: {}\n", context.say("failed", "失败"),
             is_name ? context.say("there is no such deployment; `dormouse ps` names them",
                                   "没有这个部署；用 `dormouse ps` 查看")
                     : std::string_view(error.message));
  context.exit_code = kExitFailed;
}

}  // namespace dormouse::cli
