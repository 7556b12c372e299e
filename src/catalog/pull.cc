#include "catalog/pull.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "catalog/pull_copy.h"
#include "catalog/pull_part.h"
#include "catalog/pull_rate.h"
#include "catalog/pull_transfer.h"
#include "catalog/pull_web.h"
#include "http/hmac.h"

namespace dormouse::catalog {
namespace {

namespace fs = std::filesystem;

// Left free beside the file: a full disk would stop the ledger.
constexpr std::int64_t kRoomBytes = 64 << 20;

// Where the bytes come from, and what they are.
struct Origin {
  http::Url url;
  std::string name;  // "huggingface", or a host
  FileFacts facts;
};

Error with_hint(Error error, const std::string& path) {
  const bool is_part_kept = error.code == Code::kTooLarge || error.code == Code::kCancelled ||
                            error.code == Code::kUnavailable || error.code == Code::kDeadlineExceeded ||
                            error.code == Code::kRateLimited;
  std::error_code ec;
  if (is_part_kept && fs::exists(path + ".part", ec)) {
    error.message += fmt::format("; what has come is kept in {}.part, and the next pull goes on from there", path);
  }
  return error;
}

class Pull {
 public:
  Pull(const PullRequest& request, const PullOptions& options, const Clock& clock,
       const std::function<void(const PullProgress&)>& on_progress, std::stop_token stop)
      : request_(request),
        options_(options),
        on_progress_(on_progress),
        stop_(std::move(stop)),
        rate_(clock, kRateWindow),
        hosts_(options.hosts),
        web_(io_, hosts_, options_.proxies),
        path_((fs::path(request.directory) / request.image.file).string()),
        tick_(io_) {}

  Result<Pulled> run() {
    Result<Pulled> out = make_error(Code::kInternal, "a pull that did not run");
    asio::co_spawn(io_, lead(), [this, &out](const std::exception_ptr& failure, Result<Pulled> result) {
      out = failure ? Result<Pulled>(make_error(Code::kInternal, "a pull ended by an exception")) : std::move(result);
      is_over_ = true;
      tick_.cancel();
      web_.cancel();  // a hub that was slower than the other one
    });
    asio::co_spawn(io_, watch(), asio::detached);
    io_.run();
    if (out.has_value()) return out;
    if (stop_.stop_requested()) return with_hint(make_error(Code::kCancelled, "stopped"), path_);
    return with_hint(out.error(), path_);
  }

 private:
  Task<void> watch();
  Task<Result<Pulled>> lead();
  Task<Result<Origin>> find_origin();
  Task<Result<Origin>> ask_hubs(std::vector<HubFile> files);
  Task<Result<Origin>> ask_hub(HubFile file);
  Task<void> race(HubFile file, std::shared_ptr<std::optional<Origin>> winner,
                  std::shared_ptr<std::vector<Error>> lost);
  Task<Result<FileFacts>> read_listing(HubFile file);
  Task<Result<Origin>> ask_address(http::Url url);
  [[nodiscard]] Status agree(Origin& origin) const;
  [[nodiscard]] Status check_room(std::int64_t missing) const;
  Status check_whole(PartFile& part, const Origin& origin);
  void stage(PullProgress::Stage stage, const std::string& source);
  void report();

  const PullRequest& request_;
  const PullOptions& options_;
  const std::function<void(const PullProgress&)>& on_progress_;
  const std::stop_token stop_;
  PullRate rate_;
  PullProgress progress_;
  AllowedHosts hosts_;
  asio::io_context io_;
  PullWeb web_;
  const std::string path_;
  asio::steady_timer tick_;
  bool is_over_ = false;
};

void Pull::stage(PullProgress::Stage stage, const std::string& source) {
  progress_.stage = stage;
  progress_.source = source;
  report();
}

void Pull::report() {
  progress_.bytes_per_second = rate_.bytes_per_second(progress_.done);
  if (on_progress_) on_progress_(progress_);
}

// Progress, and the wish to stop, are looked at together.
Task<void> Pull::watch() {
  while (!is_over_) {
    tick_.expires_after(kProgressStep);
    [[maybe_unused]] const auto [ec] = co_await tick_.async_wait(kTuple);
    if (is_over_) break;
    if (stop_.stop_requested()) web_.cancel();
    report();
  }
}

Task<Result<Pulled>> Pull::lead() {
  stage(PullProgress::Stage::kAsking, request_.source);
  CO_TRY(Origin origin, co_await find_origin());
  CO_TRY_STATUS(agree(origin));
  CO_TRY(PartFile part, PartFile::open(path_, origin.facts.bytes, origin.facts.sha256));
  progress_.total = origin.facts.bytes;
  progress_.resumed = progress_.done = part.done_bytes();
  CO_TRY_STATUS(check_room(origin.facts.bytes - progress_.done));
  stage(PullProgress::Stage::kLoading, origin.name);
  TransferOptions transfer_options;
  transfer_options.bytes = origin.facts.bytes;
  transfer_options.piece_bytes = options_.piece_bytes;
  transfer_options.connections = options_.connections;
  transfer_options.retry_delay = options_.retry_delay;
  transfer_options.what = fmt::format("{}: {}", origin.url.host, request_.image.file);
  std::function<void(std::int64_t)> on_bytes = [this](std::int64_t more) { progress_.done += more; };
  Transfer transfer(io_, web_, part, origin.url, std::move(transfer_options), std::move(on_bytes));
  CO_TRY_STATUS(co_await transfer.run());
  stage(PullProgress::Stage::kChecking, origin.name);
  CO_TRY_STATUS(check_whole(part, origin));
  CO_TRY_STATUS(part.finish());
  co_return Pulled{path_, origin.name, origin.facts.sha256, origin.facts.bytes, Pulled::How::kLoaded};
}

Task<Result<Origin>> Pull::find_origin() {
  const Image& image = request_.image;
  const std::string& source = request_.source.empty() && !image.url.empty() ? image.url : request_.source;
  if (source.find("://") != std::string::npos) {
    CO_TRY(http::Url url, http::Url::parse(source));
    CO_TRY_STATUS(hosts_.allow(url.to_string()));
    Result<Origin> origin = co_await ask_address(std::move(url));
    co_return origin;
  }
  std::vector<HubFile> files;
  const std::string& name = image.hub_file.empty() ? image.file : image.hub_file;
  const auto add = [&](Hub hub, const std::string& repository) {
    if (!repository.empty() && (source.empty() || source == to_string(hub))) files.push_back({hub, repository, name});
  };
  add(Hub::kHuggingFace, image.huggingface);
  add(Hub::kModelScope, image.modelscope);
  if (files.empty()) {
    co_return make_error(Code::kInvalidArgument,
                         fmt::format("{} has no source{}; give one: --source https://... or a path", image.reference(),
                                     source.empty() ? "" : fmt::format(" called '{}'", source)));
  }
  Result<Origin> origin = co_await ask_hubs(std::move(files));
  co_return origin;
}

// All of them at once; the first that knows the file is taken, and nobody waits for the others.
Task<Result<Origin>> Pull::ask_hubs(std::vector<HubFile> files) {
  const auto winner = std::make_shared<std::optional<Origin>>();
  const auto lost = std::make_shared<std::vector<Error>>();
  const auto changed = std::make_shared<asio::steady_timer>(io_);
  for (const HubFile& file : files) {
    asio::co_spawn(io_, race(file, winner, lost), [changed](const std::exception_ptr&) { changed->cancel(); });
  }
  while (!winner->has_value() && lost->size() < files.size()) {
    changed->expires_at(asio::steady_timer::time_point::max());
    [[maybe_unused]] const auto [ec] = co_await changed->async_wait(kTuple);
  }
  if (winner->has_value()) co_return **winner;
  Error all = lost->front();
  for (std::size_t i = 1; i < lost->size(); ++i) all.message += fmt::format("; {}", (*lost)[i].message);
  co_return all;
}

Task<void> Pull::race(HubFile file, std::shared_ptr<std::optional<Origin>> winner,
                      std::shared_ptr<std::vector<Error>> lost) {
  Result<Origin> origin = co_await ask_hub(std::move(file));
  if (!origin.has_value()) {
    lost->push_back(origin.error());
  } else if (!winner->has_value()) {
    *winner = *std::move(origin);
  }
}

Task<Result<Origin>> Pull::ask_hub(HubFile file) {
  CO_TRY(http::Url url, file_url(options_.endpoints, file));
  PullWeb::Ask ask;
  ask.method = "HEAD";
  ask.deadline = options_.reach;
  ask.stop = PullWeb::Ask::Stop::kAtTheFacts;
  CO_TRY(PullWeb::Answer answer, co_await web_.send(url, std::move(ask)));
  Origin origin{.url = url, .name = std::string(to_string(file.hub)), .facts = facts_of(answer.response->headers())};
  const int status = answer.response->status();
  const bool is_there = status < 400;
  if (!is_there) co_return status_error(status, fmt::format("{}: {} {}", url.host, file.repository, file.name));
  const bool is_known = !origin.facts.sha256.empty() && origin.facts.bytes > 0;
  if (is_known) co_return origin;
  CO_TRY(origin.facts, co_await read_listing(std::move(file)));
  co_return origin;
}

Task<Result<FileFacts>> Pull::read_listing(HubFile file) {
  CO_TRY(http::Url url, listing_url(options_.endpoints, file));
  const std::string host = url.host;
  PullWeb::Ask ask;
  ask.deadline = options_.reach;
  CO_TRY(PullWeb::Answer answer, co_await web_.send(std::move(url), std::move(ask)));
  const int status = answer.response->status();
  if (status != 200) co_return status_error(status, fmt::format("{}: its list of {}", host, file.repository));
  CO_TRY(const std::string body, co_await answer.response->read_all());
  Result<FileFacts> facts = facts_in_listing(file, body);
  co_return facts;
}

// One byte of it, whose header says how many there are.
Task<Result<Origin>> Pull::ask_address(http::Url url) {
  PullWeb::Ask ask;
  ask.range = ByteRange{0, 1};
  CO_TRY(PullWeb::Answer answer, co_await web_.send(url, std::move(ask)));
  const int status = answer.response->status();
  const http::Headers& headers = answer.response->headers();
  if (status != 200 && status != 206) co_return status_error(status, url.to_string());
  Origin origin{.url = url, .name = url.host, .facts = facts_of(headers)};
  std::string_view size = headers.find(status == 206 ? "content-range" : "content-length").value_or("");
  if (status == 206) size = size.substr(size.rfind('/') == std::string_view::npos ? size.size() : size.rfind('/') + 1);
  std::int64_t bytes = 0;
  const auto [end, ec] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  origin.facts.bytes = ec == std::errc() && end == size.data() + size.size() ? bytes : 0;
  co_return origin;
}

// What the source says of the file, and what the gallery does, are the same; the sha256 is known from one of them.
Status Pull::agree(Origin& origin) const {
  const Image& image = request_.image;
  if (!image.sha256.empty() && !origin.facts.sha256.empty() && image.sha256 != origin.facts.sha256) {
    return make_error(Code::kDataLoss,
                      fmt::format("{} has another {} now: sha256 {} there, {} in the gallery; nothing was fetched",
                                  origin.name, image.file, origin.facts.sha256, image.sha256));
  }
  if (origin.facts.sha256.empty()) origin.facts.sha256 = image.sha256;
  if (origin.facts.sha256.empty()) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: nothing says what its sha256 is, so nobody could tell a wrong file from the "
                                  "right one; give it: --sha256 HEX, or sha256 in its [[image]]",
                                  image.file));
  }
  constexpr std::int64_t kMost = std::int64_t{1} << 50;
  if (origin.facts.bytes <= 0 || origin.facts.bytes > kMost) {
    return make_error(Code::kUnavailable,
                      fmt::format("{}: {} does not say how large it is, or it is empty", origin.name, image.file));
  }
  const bool is_told = image.bytes > 0 && image.size == Image::Size::kPublished;
  if (!is_told || image.bytes == origin.facts.bytes) return {};
  return make_error(Code::kDataLoss, fmt::format("{} says that {} has {} bytes, the gallery {}; nothing was fetched",
                                                 origin.name, image.file, origin.facts.bytes, image.bytes));
}

Status Pull::check_room(std::int64_t missing) const {
  return check_free_space(request_.directory, missing + kRoomBytes);
}

Status Pull::check_whole(PartFile& part, const Origin& origin) {
  const auto on_step = [this](std::int64_t done) {
    progress_.done = done;
    report();
    return !stop_.stop_requested();
  };
  TRY(const std::string found, sha256_of(part.fd(), on_step));
  if (found != origin.facts.sha256) {
    part.discard();
    return make_error(Code::kDataLoss, fmt::format("{}: {} has sha256 {}, promised was {}; it was thrown away",
                                                   origin.name, request_.image.file, found, origin.facts.sha256));
  }
  Status looks = check_looks(part.fd(), request_.image.file);
  if (!looks.has_value()) part.discard();
  return looks;
}

Result<std::optional<Pulled>> look_for(const PullRequest& request, const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::optional<Pulled>();
  const Image& image = request.image;
  const bool is_told = image.bytes > 0 && image.size == Image::Size::kPublished;
  if (!S_ISREG(found.st_mode) || found.st_size == 0 || (is_told && found.st_size != image.bytes)) {
    return make_error(Code::kAlreadyExists,
                      fmt::format("{} is there and is not {} ({} bytes, {} are right); move it away and pull again",
                                  path, image.reference(), found.st_size, image.bytes));
  }
  return std::optional<Pulled>(Pulled{path, "", "", found.st_size, Pulled::How::kWasThere});
}

}  // namespace

Result<PullOptions> pull_options(const std::vector<std::string>& allow_hosts,
                                 const std::function<std::string(const char*)>& environment) {
  PullOptions out;
  TRY(out.hosts, AllowedHosts::make(allow_hosts));
  TRY(out.proxies, Proxies::read(environment));
  if (const std::string mirror = environment("HF_ENDPOINT"); !mirror.empty()) {
    const Status allowed = out.hosts.allow(mirror);
    if (!allowed.has_value()) return make_error(allowed.error().code, "HF_ENDPOINT: " + allowed.error().message);
    out.endpoints.huggingface = mirror;
  }
  return out;
}

std::string_view to_string(PullProgress::Stage stage) {
  switch (stage) {
    case PullProgress::Stage::kAsking: return "asking";
    case PullProgress::Stage::kLoading: return "loading";
    case PullProgress::Stage::kChecking: return "checking";
    case PullProgress::Stage::kCopying: return "copying";
  }
  return "";
}

std::optional<double> seconds_left(const PullProgress& progress) {
  if (progress.stage != PullProgress::Stage::kLoading || progress.bytes_per_second < 1) return std::nullopt;
  return static_cast<double>(progress.total - progress.done) / progress.bytes_per_second;
}

bool is_local_source(std::string_view source) {
  return source.starts_with("file://") ||
         (source.find('/') != std::string_view::npos && source.find("://") == std::string_view::npos);
}

Result<Image> image_of_source(std::string_view source) {
  std::string_view name = source.substr(0, is_local_source(source) ? source.size() : source.find_first_of("?#"));
  name = name.substr(name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/') + 1);
  Image out;
  out.file = http::percent_decode(name);
  const bool is_odd = out.file.empty() || out.file.starts_with('.') ||
                      std::any_of(out.file.begin(), out.file.end(),
                                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '/' || c == '\\'; });
  if (is_odd) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: its last part, '{}', is no name for a file", source, out.file));
  }
  out.name = "file";
  out.tag = out.file;
  return out;
}

Result<Pulled> pull(const PullRequest& request, const PullOptions& options, const Clock& clock,
                    const std::function<void(const PullProgress&)>& on_progress, std::stop_token stop) {
  const Image& image = request.image;
  if (!image.upstream.empty()) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: {} fetches {} itself at its first start; there is nothing to pull",
                                  image.reference(), image.runtimes.front(), image.upstream));
  }
  if (image.file.starts_with('/')) {
    return make_error(Code::kInvalidArgument, fmt::format("{} is {}, a file of yours; there is nothing to pull",
                                                          image.reference(), image.file));
  }
  const std::string path = (fs::path(request.directory) / image.file).string();
  TRY(std::optional<Pulled> there, look_for(request, path));
  if (there.has_value()) return *std::move(there);
  std::error_code ec;
  fs::create_directories(request.directory, ec);
  if (ec) return errno_error(request.directory, ec.value());
  if (is_local_source(request.source)) {
    return copy_local({.from = request.source, .to = path, .sha256 = image.sha256}, on_progress, stop);
  }
  return Pull(request, options, clock, on_progress, std::move(stop)).run();
}

}  // namespace dormouse::catalog
