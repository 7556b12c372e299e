#include "gateway/batches/batches_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"
#include "base/ids.h"
#include "gateway/admin/query_string.h"
#include "gateway/batches/form_data.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::int64_t kPage = 20;
constexpr std::int64_t kMaxFilePage = 10'000;
constexpr std::int64_t kMaxBatchPage = 100;
constexpr std::size_t kMaxMetadata = 16;
constexpr std::size_t kMaxMetadataText = 512;
// OpenAI's own.
constexpr std::chrono::seconds kLeastExpiry{3'600};
constexpr std::chrono::seconds kMostExpiry{2'592'000};

api::ApiError invalid(std::string param, std::string message) {
  return {.code = api::ErrorCode::kInvalidValue, .message = std::move(message), .param = std::move(param)};
}
api::ApiError not_found(std::string_view what) {
  return {.code = api::ErrorCode::kNotFound, .message = fmt::format("There is no such {}.", what), .param = {}};
}
api::ApiError from_disk(const Error& error) {
  const bool is_full = error.code == Code::kTooLarge;
  return {.code = is_full ? api::ErrorCode::kBodyTooLarge : api::ErrorCode::kInternalError,
          .message = is_full ? error.message : "",
          .param = {}};
}

std::string owner_of(const Call& call) {
  return call.caller == nullptr ? std::string() : call.caller->key_id;
}

// A page of a map of things, newest first, as OpenAI's lists are: after=ID, limit=N, has_more.
template <typename Thing, typename Write>
api::ApiResult<std::string> page_of(const Call& call, const std::map<std::string, Thing>& all, std::int64_t most,
                                    const Write& write) {
  const Result<QueryString> query = QueryString::parse(call.request().query);
  if (!query.has_value()) return tl::unexpected(invalid("", query.error().message));
  const Result<std::int64_t> limit = query->number("limit", kPage, {.low = 1, .high = most});
  if (!limit.has_value()) return tl::unexpected(invalid("limit", limit.error().message));
  const std::string after = query->text("after").value_or("");
  const std::string owner = owner_of(call);
  std::string data;
  std::string first;
  std::string last;
  std::int64_t count = 0;
  bool has_more = false;
  for (auto at = after.empty() ? all.rbegin() : std::make_reverse_iterator(all.lower_bound(after)); at != all.rend();
       ++at) {
    if (at->second.owner != owner) continue;
    has_more = count == *limit;
    if (has_more) break;
    data += (count++ == 0 ? "" : ",") + write(at->second);
    if (first.empty()) first = at->first;
    last = at->first;
  }
  const auto id = [](const std::string& text) { return text.empty() ? std::string("null") : '"' + text + '"'; };
  return fmt::format(R"({{"object":"list","data":[{}],"first_id":{},"last_id":{},"has_more":{}}})", data, id(first),
                     id(last), has_more);
}

Task<void> reply_page(Call& call, api::ApiResult<std::string> page) {
  if (page.has_value()) {
    co_await reply_json(call, 200, *page);
  } else {
    const api::ApiError error = page.error();
    co_await reply_error(call, error);
  }
}

// How long something is to be kept after `anchor`, as OpenAI's expires_after says it; both empty: as long as is usual.
// Errors: naming what is wrong with it.
api::ApiResult<std::chrono::seconds> read_expiry(const std::string& field, std::string_view anchor,
                                                 std::string_view seconds) {
  if (anchor.empty() && seconds.empty()) return std::chrono::seconds(0);
  if (anchor != "created_at") return tl::unexpected(invalid(field, field + ".anchor must be created_at."));
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), number);
  const bool is_whole = ec == std::errc{} && end == seconds.data() + seconds.size();
  if (is_whole && number >= kLeastExpiry.count() && number <= kMostExpiry.count()) return std::chrono::seconds(number);
  return tl::unexpected(invalid(field, fmt::format("{}.seconds must be a number from {} to {}.", field,
                                                   kLeastExpiry.count(), kMostExpiry.count())));
}

struct UploadWish {
  const FormPart* file = nullptr;
  std::chrono::seconds keep{0};
};

api::ApiResult<UploadWish> read_upload(const std::vector<FormPart>& parts) {
  const auto part = [&parts](std::string_view name) {
    const auto found = std::find_if(parts.begin(), parts.end(), [&](const FormPart& p) { return p.name == name; });
    return found == parts.end() ? nullptr : &*found;
  };
  const auto text = [&part](std::string_view name) {
    const FormPart* const found = part(name);
    return found == nullptr ? std::string_view() : found->content;
  };
  UploadWish out;
  out.file = part("file");
  if (text("purpose") != "batch") return tl::unexpected(invalid("purpose", "purpose must be batch."));
  if (text("file").empty()) return tl::unexpected(invalid("file", "A file that is not empty is needed."));
  const api::ApiResult<std::chrono::seconds> keep =
      read_expiry("expires_after", text("expires_after[anchor]"), text("expires_after[seconds]"));
  if (!keep.has_value()) return tl::unexpected(keep.error());
  out.keep = *keep;
  return out;
}

struct BatchWish {
  std::string input_file_id;
  std::string endpoint;
  std::string window;
  std::chrono::seconds window_s{0};
  std::string metadata = "{}";
  std::chrono::seconds keep_results{0};
};

void read_metadata(const api::Fields& fields, BatchWish& out) {
  const json::object* const metadata = fields.object("metadata");
  if (metadata == nullptr) return;
  bool fits = metadata->size() <= kMaxMetadata;
  for (const auto& member : *metadata) {
    fits = fits && member.value().is_string() && member.value().get_string().size() <= kMaxMetadataText &&
           member.key().size() <= kMaxMetadataText;
  }
  if (!fits) {
    return fields.refuse("metadata",
                         fmt::format("metadata is at most {} texts of {} bytes.", kMaxMetadata, kMaxMetadataText));
  }
  out.metadata = json::serialize(*metadata);
}

void read_results_expiry(const api::Fields& fields, BatchWish& out) {
  const json::object* const after = fields.object("output_expires_after");
  if (after == nullptr) return;
  const json::value* const anchor = api::find_member(*after, "anchor");
  const json::value* const seconds = api::find_member(*after, "seconds");
  const api::ApiResult<std::chrono::seconds> read =
      read_expiry("output_expires_after", anchor != nullptr && anchor->is_string() ? anchor->get_string() : "?",
                  seconds != nullptr && seconds->is_int64() ? std::to_string(seconds->get_int64()) : "");
  if (!read.has_value()) return fields.refuse("output_expires_after", read.error().message);
  out.keep_results = *read;
}

api::ApiResult<BatchWish> read_wish(std::string_view body) {
  const api::ApiResult<json::value> value = api::parse_strict_json(body);
  if (!value.has_value()) return tl::unexpected(value.error());
  if (!value->is_object()) return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidJson, {}, {}});
  api::Problem problem;
  const api::Fields fields(value->get_object(), "", problem);
  BatchWish out;
  out.input_file_id = fields.string("input_file_id", api::kMaxNameBytes).value_or("");
  out.endpoint = fields.string("endpoint", api::kMaxNameBytes).value_or("");
  out.window = fields.string("completion_window", api::kMaxNameBytes).value_or("24h");
  read_metadata(fields, out);
  read_results_expiry(fields, out);
  if (out.input_file_id.empty()) fields.refuse("input_file_id", "input_file_id is needed.");
  if (!is_batch_endpoint(out.endpoint)) {
    fields.refuse("endpoint", "endpoint is /v1/chat/completions, /v1/completions, /v1/embeddings or /v1/responses.");
  }
  if (problem.found()) return tl::unexpected(problem.error());
  const api::ApiResult<std::chrono::seconds> window = parse_window(out.window);
  if (!window.has_value()) return tl::unexpected(window.error());
  out.window_s = *window;
  return out;
}

}  // namespace

void BatchesApi::add_routes(Router& router) {
  const auto add = [&router](const char* method, const char* pattern, RouteHandler handler) {
    router.add({method, pattern, Access::kInference, std::move(handler)});
  };
  add("POST", "/v1/files", [this](Call& c) { return upload(c); });
  add("GET", "/v1/files", [this](Call& c) { return list_files(c); });
  add("GET", "/v1/files/{file}", [this](Call& c) { return get_file(c); });
  add("DELETE", "/v1/files/{file}", [this](Call& c) { return remove_file(c); });
  add("GET", "/v1/files/{file}/content", [this](Call& c) { return file_content(c); });
  add("POST", "/v1/batches", [this](Call& c) { return create_batch(c); });
  add("GET", "/v1/batches", [this](Call& c) { return list_batches(c); });
  add("GET", "/v1/batches/{batch}", [this](Call& c) { return get_batch(c); });
  add("POST", "/v1/batches/{batch}/cancel", [this](Call& c) { return cancel_batch(c); });
}

const StoredFile* BatchesApi::file_of(const Call& call, const std::string& id) const {
  const StoredFile* const file = files_.find(id);
  return file != nullptr && file->owner == owner_of(call) ? file : nullptr;
}

const Batch* BatchesApi::batch_of(const Call& call, const std::string& id) const {
  const Batch* const batch = batches_.find(id);
  return batch != nullptr && batch->owner == owner_of(call) ? batch : nullptr;
}

Task<void> BatchesApi::upload(Call& call) {
  const std::string type(call.request().headers.find("content-type").value_or(""));
  const Result<std::vector<FormPart>> parts = parse_form_data(type, call.request().body);
  if (!parts.has_value()) {
    api::ApiError error = invalid("", parts.error().message);
    if (!type.starts_with("multipart/")) error.code = api::ErrorCode::kUnsupportedMediaType;
    co_await reply_error(call, error);
    co_return;
  }
  const api::ApiResult<UploadWish> wish = read_upload(*parts);
  if (!wish.has_value()) {
    const api::ApiError error = wish.error();
    co_await reply_error(call, error);
    co_return;
  }
  StoredFile file;
  file.id = "file-" + make_uuid_v7(clock_.wall());
  file.owner = owner_of(call);
  file.filename = wish->file->filename;
  file.purpose = "batch";
  file.created_s = clock_.wall().us / 1'000'000;
  file.expires_s = files_.expiry(file.created_s, wish->keep);
  file.bytes = static_cast<std::int64_t>(wish->file->content.size());
  const std::string shown = file_json(file);
  std::string text(wish->file->content);
  const Status stored = co_await files_.put(std::move(file), std::move(text));
  if (!stored.has_value()) {
    const api::ApiError refused = from_disk(stored.error());
    co_await reply_error(call, refused);
    co_return;
  }
  co_await reply_json(call, 200, shown);
}

Task<void> BatchesApi::list_files(Call& call) {
  return reply_page(call, page_of(call, files_.all(), kMaxFilePage, file_json));
}

Task<void> BatchesApi::get_file(Call& call) {
  const StoredFile* const file = file_of(call, call.parameters[0]);
  if (file == nullptr) {
    const api::ApiError error = not_found("file");
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = file_json(*file);
  co_await reply_json(call, 200, body);
}

Task<void> BatchesApi::remove_file(Call& call) {
  const std::string id = call.parameters[0];
  api::ApiError error = not_found("file");
  if (file_of(call, id) == nullptr) {
    co_await reply_error(call, error);
    co_return;
  }
  if (batches_.reads(id)) {
    error = {
        api::ErrorCode::kReadOnly, "A batch that is not over reads this file; cancel it, or wait for its end.", {}};
    co_await reply_error(call, error);
    co_return;
  }
  const Status removed = co_await files_.remove(id);
  if (!removed.has_value()) {
    error = from_disk(removed.error());
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = fmt::format(R"({{"id":"{}","object":"file","deleted":true}})", id);
  co_await reply_json(call, 200, body);
}

Task<void> BatchesApi::file_content(Call& call) {
  const std::string id = call.parameters[0];
  const bool exists = file_of(call, id) != nullptr;
  Result<std::string> content = make_error(Code::kNotFound, "");
  if (exists) content = co_await files_.read(id);
  if (!content.has_value()) {
    const api::ApiError error = exists ? from_disk(content.error()) : not_found("file");
    co_await reply_error(call, error);
    co_return;
  }
  http::Response response;
  response.headers.set("content-type", "application/jsonl");
  response.body = *std::move(content);
  co_await reply(call, std::move(response));
}

Task<void> BatchesApi::create_batch(Call& call) {
  const api::ApiResult<BatchWish> wish = read_wish(call.request().body);
  api::ApiError error;
  if (!wish.has_value()) {
    error = wish.error();
  } else if (file_of(call, wish->input_file_id) == nullptr) {
    error = invalid("input_file_id", "There is no such file.");
  } else if (batches_.is_full()) {
    error.code = api::ErrorCode::kQueueFull;
  }
  const bool refused = error.code != api::ErrorCode::kInternalError;
  if (refused) {
    co_await reply_error(call, error);
    co_return;
  }
  const auto lines = std::make_shared<BatchLines>();
  std::function<Status()> read = [lines, path = files_.data_path(wish->input_file_id),
                                  endpoint = wish->endpoint]() -> Status {
    TRY(const std::string text, read_whole(path));
    *lines = parse_batch_lines(text, endpoint);
    return {};
  };
  Status done = co_await files_.run(std::move(read));
  const WallTime now = clock_.wall();
  Batch batch;
  batch.id = "batch_" + make_uuid_v7(now);
  batch.owner = owner_of(call);
  batch.is_public = call.reach == Reach::kPublic;
  batch.endpoint = wish->endpoint;
  batch.input_file_id = wish->input_file_id;
  batch.output_file_id = "file-" + make_uuid_v7(now);
  batch.error_file_id = "file-" + make_uuid_v7(now);
  batch.window = wish->window;
  batch.metadata = wish->metadata;
  batch.keep_results_s = wish->keep_results.count();
  batch.model = lines->model;
  batch.problems = lines->problems;
  batch.status = batch.problems.empty() ? BatchStatus::kInProgress : BatchStatus::kFailed;
  batch.total = batch.problems.empty() ? static_cast<std::int64_t>(lines->lines.size()) : 0;
  batch.created_s = now.us / 1'000'000;
  batch.expires_s = batch.created_s + wish->window_s.count();
  batch.ended_s = batch.problems.empty() ? 0 : batch.created_s;
  const std::string shown = batch_json(batch);
  if (done.has_value()) done = co_await batches_.add(std::move(batch));
  if (!done.has_value()) {
    error = from_disk(done.error());
    co_await reply_error(call, error);
    co_return;
  }
  co_await reply_json(call, 200, shown);
}

Task<void> BatchesApi::list_batches(Call& call) {
  return reply_page(call, page_of(call, batches_.all(), kMaxBatchPage, batch_json));
}

Task<void> BatchesApi::get_batch(Call& call) {
  const Batch* const batch = batch_of(call, call.parameters[0]);
  if (batch == nullptr) {
    const api::ApiError error = not_found("batch");
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = batch_json(*batch);
  co_await reply_json(call, 200, body);
}

Task<void> BatchesApi::cancel_batch(Call& call) {
  const std::string id = call.parameters[0];
  const Batch* const batch = batch_of(call, id);
  api::ApiError error = not_found("batch");
  bool refused = batch == nullptr;
  if (!refused && is_over(batch->status)) {
    refused = true;
    error = invalid("", "This batch is over.");
  }
  if (refused) {
    co_await reply_error(call, error);
    co_return;
  }
  const Status cancelled = co_await batches_.cancel(id);
  if (!cancelled.has_value()) {
    error = from_disk(cancelled.error());
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = batch_json(*batch);
  co_await reply_json(call, 200, body);
}

}  // namespace dormouse::gateway
