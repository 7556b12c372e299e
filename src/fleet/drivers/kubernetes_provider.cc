#include "fleet/drivers/kubernetes_provider.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <functional>
#include <optional>
#include <utility>

namespace dormouse::fleet {
namespace {

namespace json = boost::json;

constexpr const char* kApply = "application/apply-patch+yaml";  // JSON is YAML
constexpr const char* kManager = "fieldManager=dormouse&fieldValidation=Strict";
constexpr int kMostRestarts = 3;   // of a list whose pages expire
constexpr int kMostPages = 1'000;  // of one list; more is a server that goes in circles

bool is_success(const KubernetesAnswer& answer) {
  return answer.status >= 200 && answer.status < 300;
}

std::string text_in(const json::value& value, std::string_view outer, std::string_view inner) {
  const json::object* const object = value.if_object();
  const json::value* const found = object == nullptr ? nullptr : object->if_contains(outer);
  const json::object* const member = found == nullptr ? nullptr : found->if_object();
  const json::value* const text = member == nullptr ? nullptr : member->if_contains(inner);
  if (text == nullptr || !text->is_string()) return {};
  return {text->get_string().data(), text->get_string().size()};
}

// The API server's own 404 about this Pod. Any other (a wrong path, a proxy, no such namespace) says nothing about it.
bool says_gone(const KubernetesAnswer& answer, const std::string& name) {
  return answer.status == 404 && text_in(answer.body, "details", "kind") == "pods" &&
         text_in(answer.body, "details", "name") == name;
}

// What an answer to an apply that failed means for what was made. 409 is looked at before.
CreateVerdict verdict_of(int status) {
  switch (status) {
    case 400:
    case 403:  // a quota, a policy, no right: as good as no stock
    case 404:
    case 413:
    case 415:
    case 422: return CreateVerdict::kRefused;
    case 401:
    case 429: return CreateVerdict::kTryAgain;
    default: return CreateVerdict::kUnknown;
  }
}

class KubernetesProvider final : public Provider {
 public:
  KubernetesProvider(asio::io_context& io, KubernetesProviderOptions options)
      : options_(std::move(options)), api_(io, options_.access) {}

  std::size_t kinds(const StartSpec& /*spec*/) const override { return options_.kinds(); }
  Task<CreateOutcome> create(const StartSpec& spec, std::size_t kind) override;
  Task<Result<std::vector<Sighting>>> list() override;
  Task<Result<std::vector<Sighting>>> status(const std::string& instance, const std::string& id) override;
  Task<Status> destroy(const std::string& instance, const std::string& id) override;
  Task<News> wait_for_news(std::chrono::milliseconds at_most) override;
  void close() override { api_.close(); }

 private:
  using Answer = Result<KubernetesAnswer>;
  // Nullopt: the outcome is told in `out`.
  Task<std::optional<Sighting>> apply_pod(const StartSpec& spec, const KubernetesResources& resources,
                                          CreateOutcome* out);
  Task<Status> apply_secret(const StartSpec& spec, const std::string& uid, CreateVerdict* verdict);
  Task<void> undo(const StartSpec& spec, const std::string& uid, CreateVerdict verdict, CreateOutcome* out);
  Task<Status> find_owner(CreateVerdict* verdict);
  Task<Answer> list_page(const std::string& next);
  [[nodiscard]] Result<const KubernetesResources*> resources_of(const StartSpec& spec, std::size_t kind) const;
  [[nodiscard]] std::string pods_path(const std::string& name) const {
    return fmt::format("/api/v1/namespaces/{}/pods{}{}", options_.name_space, name.empty() ? "" : "/", name);
  }

  const KubernetesProviderOptions options_;
  KubernetesApi api_;
  std::optional<KubernetesOwner> owner_;  // found out at the first start
  std::string version_;                   // of the last whole list; empty: none to watch from
};

Result<const KubernetesResources*> KubernetesProvider::resources_of(const StartSpec& spec, std::size_t kind) const {
  const std::string& type = options_.type_of(spec, kind);
  if (type.empty()) return &options_.pods.resources;
  const auto found = options_.pods.types.find(type);
  if (found != options_.pods.types.end()) return &found->second;
  return make_error(Code::kInvalidArgument, fmt::format("driver.{}.types: no type '{}'", options_.name, type));
}

Task<CreateOutcome> KubernetesProvider::create(const StartSpec& spec, std::size_t kind) {
  CreateOutcome out;
  const Result<const KubernetesResources*> resources = resources_of(spec, kind);
  if (!resources.has_value()) {
    out.verdict = CreateVerdict::kRefused;
    out.error = resources.error();
    co_return out;
  }
  const Status owned = co_await find_owner(&out.verdict);
  if (!owned.has_value()) {
    out.error = owned.error();
    co_return out;
  }
  const std::optional<Sighting> pod = co_await apply_pod(spec, **resources, &out);
  if (!pod.has_value()) co_return out;
  CreateVerdict verdict = CreateVerdict::kUnknown;
  const Status told = co_await apply_secret(spec, pod->id, &verdict);
  if (told.has_value()) {
    out.verdict = CreateVerdict::kCreated;
    out.id = pod->id;
    co_return out;
  }
  out.error = told.error();
  co_await undo(spec, pod->id, verdict, &out);
  co_return out;
}

// 1. No answer: perhaps made.
// 2. Made, or there already. On its way out it is not what was asked for, and nothing else can have its name.
// 3. A conflict: somebody else has set fields of ours, or it changed under the call. If it is there, it is ours: nobody
//    else knows the name.
Task<std::optional<Sighting>> KubernetesProvider::apply_pod(const StartSpec& spec, const KubernetesResources& resources,
                                                            CreateOutcome* out) {
  const std::string name = kubernetes_name(spec.instance_id);
  const PodPlan plan{.spec = spec,
                     .place = options_.place,
                     .pods = options_.pods,
                     .resources = resources,
                     .owner_mark = options_.owner,
                     .owner = owner_.has_value() ? &*owner_ : nullptr};
  KubernetesCall call{.method = "PATCH",
                      .target = pods_path(name) + "?" + kManager,
                      .content_type = kApply,
                      .body = pod_json(plan),
                      .if_lost = IfLost::kRepeat};
  Task<Answer> task = api_.call(std::move(call));
  Answer answer = co_await std::move(task);
  if (answer.has_value() && answer->status == 409) {  // 3
    out->error = kubernetes_error("pod " + name, *answer);
    KubernetesCall look{.method = "GET", .target = pods_path(name), .content_type = {}, .body = {}};
    Task<Answer> looking = api_.call(std::move(look));
    answer = co_await std::move(looking);
    if (answer.has_value() && says_gone(*answer, name)) {
      out->verdict = CreateVerdict::kTryAgain;
      co_return std::nullopt;
    }
  }
  if (!answer.has_value()) {  // 1
    out->verdict = CreateVerdict::kUnknown;
    out->error = answer.error();
    co_return std::nullopt;
  }
  if (!is_success(*answer)) {
    out->verdict = verdict_of(answer->status);
    out->error = kubernetes_error("pod " + name, *answer);
    co_return std::nullopt;
  }
  Result<Sighting> pod = read_pod(answer->body);  // 2
  if (pod.has_value() && pod->instance == spec.instance_id && !pod->detail.starts_with("Terminating")) {
    co_return std::move(*pod);
  }
  out->verdict = CreateVerdict::kUnknown;
  out->error = pod.has_value() ? make_error(Code::kUnavailable, name + " is there: " + pod->detail) : pod.error();
  co_return std::nullopt;
}

// By force: a Secret of this name is this Pod's, whoever wrote into it.
Task<Status> KubernetesProvider::apply_secret(const StartSpec& spec, const std::string& uid, CreateVerdict* verdict) {
  const std::string name = kubernetes_name(spec.instance_id);
  KubernetesCall call{
      .method = "PATCH",
      .target = fmt::format("/api/v1/namespaces/{}/secrets/{}?{}&force=true", options_.name_space, name, kManager),
      .content_type = kApply,
      .body = secret_json(spec, options_.owner, uid),
      .if_lost = IfLost::kRepeat};
  Task<Answer> task = api_.call(std::move(call));
  const Answer answer = co_await std::move(task);
  if (!answer.has_value()) {
    *verdict = CreateVerdict::kTryAgain;  // of the whole start, once its Pod is gone
    co_return answer.error();
  }
  if (is_success(*answer)) co_return Status();
  *verdict = verdict_of(answer->status);
  co_return kubernetes_error("secret " + name, *answer);
}

// A Pod without its lease goes again. As long as it is not seen to be gone, it is perhaps made.
Task<void> KubernetesProvider::undo(const StartSpec& spec, const std::string& uid, CreateVerdict verdict,
                                    CreateOutcome* out) {
  const std::string instance = spec.instance_id;
  Task<Status> ending = destroy(instance, uid);
  const Status told = co_await std::move(ending);
  out->verdict = CreateVerdict::kUnknown;
  if (!told.has_value()) co_return;
  Task<Result<std::vector<Sighting>>> looking = status(instance, uid);
  const Result<std::vector<Sighting>> left = co_await std::move(looking);
  if (!left.has_value() || !left->empty()) co_return;
  out->verdict = verdict == CreateVerdict::kRefused ? CreateVerdict::kRefused : CreateVerdict::kTryAgain;
}

// Nothing is made here, whatever happens.
Task<Status> KubernetesProvider::find_owner(CreateVerdict* verdict) {
  if (options_.owned_by.empty() || owner_.has_value()) co_return Status();
  const std::size_t slash = options_.owned_by.find('/');
  const std::string kind = options_.owned_by.substr(0, slash);
  KubernetesOwner owner;
  owner.api_version = "apps/v1";
  owner.kind = kind == "deployment" ? "Deployment" : "StatefulSet";
  owner.name = options_.owned_by.substr(slash + 1);
  KubernetesCall call;
  call.target = fmt::format("/apis/apps/v1/namespaces/{}/{}s/{}", options_.name_space, kind, owner.name);
  Task<Answer> task = api_.call(std::move(call));
  const Answer answer = co_await std::move(task);
  *verdict = CreateVerdict::kTryAgain;
  if (!answer.has_value()) co_return answer.error();
  if (!is_success(*answer)) {
    if (verdict_of(answer->status) == CreateVerdict::kRefused) *verdict = CreateVerdict::kRefused;
    co_return kubernetes_error("owned_by " + options_.owned_by, *answer);
  }
  owner.uid = text_in(answer->body, "metadata", "uid");
  if (owner.uid.empty()) co_return make_error(Code::kDataLoss, "kubernetes: " + options_.owned_by + " has no uid");
  owner_ = std::move(owner);
  co_return Status();
}

Task<Result<KubernetesAnswer>> KubernetesProvider::list_page(const std::string& next) {
  KubernetesCall call;
  call.target = fmt::format("{}?labelSelector={}&limit={}", pods_path(""),
                            percent_encoded(kubernetes_selector(options_.owner)), options_.page_size);
  if (!next.empty()) call.target += "&continue=" + percent_encoded(next);
  return api_.call(std::move(call));
}

Task<Result<std::vector<Sighting>>> KubernetesProvider::list() {
  std::vector<Sighting> out;
  std::string next;
  int restarts = 0;
  version_.clear();
  for (int page_number = 0; page_number < kMostPages; ++page_number) {
    Task<Answer> task = list_page(next);
    const Answer answer = co_await std::move(task);
    if (!answer.has_value()) co_return answer.error();
    if (answer->status == 410 && !next.empty() && restarts++ < kMostRestarts) {
      out.clear();
      next.clear();
      continue;
    }
    if (!is_success(*answer)) co_return kubernetes_error("list of pods", *answer);
    Result<PodPage> page = read_pod_list(answer->body, options_.owner);
    if (!page.has_value()) co_return page.error();
    std::move(page->pods.begin(), page->pods.end(), std::back_inserter(out));
    next = std::move(page->next);
    if (!next.empty()) continue;
    version_ = std::move(page->version);
    co_return out;
  }
  co_return make_error(Code::kDataLoss, "kubernetes: the list of Pods does not end");
}

// A watch from where the list was, so that nothing falls between the two. One that breaks after it has brought
// something is taken up where it was; one that brings nothing is not tried again before the next list.
Task<News> KubernetesProvider::wait_for_news(std::chrono::milliseconds at_most) {
  const auto seconds = std::max(std::chrono::ceil<std::chrono::seconds>(at_most), std::chrono::seconds(1));
  for (int resumed = 0; resumed <= kMostRestarts && !version_.empty(); ++resumed) {
    const std::string from = version_;
    std::string target = fmt::format(
        "{}?labelSelector={}&watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}", pods_path(""),
        percent_encoded(kubernetes_selector(options_.owner)), percent_encoded(from), seconds.count());
    WatchEvent last = WatchEvent::kNothing;
    std::function<bool(std::string_view)> on_line = [this, &last](std::string_view line) {
      last = read_watch_event(line, &version_);
      return last == WatchEvent::kNothing;
    };
    Task<Result<int>> task = api_.stream(std::move(target), seconds, std::move(on_line));
    const Result<int> ended = co_await std::move(task);
    if (last != WatchEvent::kNothing) co_return News::kChanged;
    if (ended.has_value()) {
      if (*ended == 200) co_return News::kNone;
      co_return *ended == 410 ? News::kChanged : News::kNotTold;
    }
    if (version_ == from) co_return News::kNotTold;
  }
  co_return News::kNotTold;
}

Task<Result<std::vector<Sighting>>> KubernetesProvider::status(const std::string& instance, const std::string& id) {
  const std::string name = kubernetes_name(instance);
  KubernetesCall call{.method = "GET", .target = pods_path(name), .content_type = {}, .body = {}};
  Task<Answer> task = api_.call(std::move(call));
  const Answer answer = co_await std::move(task);
  std::vector<Sighting> out;
  if (!answer.has_value()) co_return answer.error();
  if (says_gone(*answer, name)) co_return out;
  if (!is_success(*answer)) co_return kubernetes_error("pod " + name, *answer);
  Result<Sighting> pod = read_pod(answer->body);
  if (!pod.has_value()) co_return pod.error();
  if (pod->instance != instance)
    co_return make_error(Code::kDataLoss, "kubernetes: asked for " + name + ", got another");
  if (!id.empty() && pod->id != id) co_return out;  // made anew under the name: that one is gone
  out.push_back(std::move(*pod));
  co_return out;
}

// The uid goes with it: a Pod that somebody made anew under the same name is not the one that was meant.
Task<Status> KubernetesProvider::destroy(const std::string& instance, const std::string& id) {
  const std::string name = kubernetes_name(instance);
  json::object body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}, {"propagationPolicy", "Background"}};
  body["gracePeriodSeconds"] = options_.pods.grace_seconds;
  if (!id.empty()) body["preconditions"] = json::object{{"uid", id}};
  KubernetesCall call{
      .method = "DELETE", .target = pods_path(name), .content_type = "application/json", .body = json::serialize(body)};
  Task<Answer> task = api_.call(std::move(call));
  const Answer answer = co_await std::move(task);
  if (!answer.has_value()) co_return answer.error();
  if (is_success(*answer) || says_gone(*answer, name) || answer->status == 409) co_return Status();
  co_return kubernetes_error("delete of pod " + name, *answer);
}

std::string variable(const char* const* environment, std::string_view name) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=') {
      return std::string(entry.substr(name.size() + 1));
    }
  }
  return {};
}

Status check_options(const KubernetesProviderOptions& options, const std::string& where) {
  const auto wrong = [&where](const char* key, const std::string& why) {
    return make_error(Code::kInvalidArgument, where + key + ": " + why);
  };
  if (!is_label_value(options.owner)) return wrong("owner", "at most 63 of letters, digits, '-', '_', '.'");
  if (options.access.server.empty()) return wrong("server", "is needed outside of a cluster");
  const Status access = KubernetesApi::check(options.access);
  if (!access.has_value()) return make_error(access.error().code, where + access.error().message);
  if (!is_object_name(options.name_space)) return wrong("namespace", "a namespace's name; needed outside of a cluster");
  const std::string& owned_by = options.owned_by;
  const std::size_t slash = std::min(owned_by.find('/'), owned_by.size());
  const std::string kind = owned_by.substr(0, slash);
  const bool known = kind == "statefulset" || kind == "deployment";
  if (!owned_by.empty() && (!known || !is_object_name(owned_by.substr(std::min(slash + 1, owned_by.size()))))) {
    return wrong("owned_by", "statefulset/NAME or deployment/NAME");
  }
  std::vector<std::string> wanted = options.fallback_types;
  if (!options.type.empty()) wanted.push_back(options.type);
  for (const std::string& type : wanted) {
    if (!options.pods.types.contains(type)) return wrong("types", "no type '" + type + "'");
  }
  if (options.place.control.starts_with("unix:")) {
    return wrong("worker_listen", "a Pod cannot reach the gateway's Unix socket: serve with --worker-listen");
  }
  return check_pods(options.pods, where);
}

}  // namespace

void fill_in_cluster(KubernetesProviderOptions& options, const char* const* environment, const std::string& directory) {
  const std::string host = variable(environment, "KUBERNETES_SERVICE_HOST");
  const std::string port = variable(environment, "KUBERNETES_SERVICE_PORT");
  if (options.access.server.empty() && !host.empty()) {
    const bool is_v6 = host.find(':') != std::string::npos;
    options.access.server =
        fmt::format("https://{}{}{}:{}", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port.empty() ? "443" : port);
    if (options.access.ca_file.empty()) options.access.ca_file = directory + "/ca.crt";
    if (options.access.token_file.empty()) options.access.token_file = directory + "/token";
  }
  if (options.name_space.empty()) {
    std::ifstream in(directory + "/namespace");
    in >> options.name_space;
  }
}

Result<std::unique_ptr<Provider>> make_kubernetes_provider(asio::io_context& io, KubernetesProviderOptions options) {
  TRY_STATUS(check_options(options, "driver." + options.name + "."));
  return std::unique_ptr<Provider>(std::make_unique<KubernetesProvider>(io, std::move(options)));
}

}  // namespace dormouse::fleet
