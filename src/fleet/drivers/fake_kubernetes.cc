#include "fleet/drivers/fake_kubernetes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "http/tls.h"

namespace dormouse::fleet {
namespace {

namespace json = boost::json;

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string().c_str()) : std::string();
}

json::object& member(json::object& object, std::string_view key) {
  json::value& value = object[key];
  if (!value.is_object()) value = json::object();
  return value.get_object();
}

// 0: none.
std::uint64_t number_in(std::string_view text, int base = 10) {
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out, base);
  return out;
}

// One parameter of a query, decoded. Empty: not there.
std::string parameter(const std::string& query, const std::string& name) {
  const std::string all = "&" + query + "&";
  const std::size_t at = all.find("&" + name + "=");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + name.size() + 2;
  const std::string raw = all.substr(begin, all.find('&', begin) - begin);
  std::string out;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '%') {
      out += raw[i];
      continue;
    }
    out += static_cast<char>(number_in(std::string_view(raw).substr(i + 1, 2), 16));
    i += 2;
  }
  return out;
}

bool is_selected(json::object pod, const std::string& selector) {
  const json::object& labels = member(member(pod, "metadata"), "labels");
  for (std::size_t begin = 0; begin < selector.size();) {
    const std::size_t end = std::min(selector.find(',', begin), selector.size());
    const std::string term = selector.substr(begin, end - begin);
    const std::size_t equals = term.find('=');
    const json::value* const value = labels.if_contains(term.substr(0, equals));
    if (value == nullptr || text_of(*value) != term.substr(equals + 1)) return false;
    begin = end + 1;
  }
  return true;
}

json::object waiting(std::string_view reason, std::string_view message) {
  json::object state{{"waiting", json::object{{"reason", reason}, {"message", message}}}};
  return {{"name", "worker"}, {"state", std::move(state)}};
}

void set_container(json::object& pod, std::string_view phase, json::object container) {
  json::object& status = member(pod, "status");
  status["phase"] = phase;
  json::array all;
  all.push_back(std::move(container));
  status["containerStatuses"] = std::move(all);
}

// fieldValidation=Strict, as far as a driver goes: the fields of the v1 API that it may use, by their object.
const std::map<std::string, std::set<std::string>>& known_fields() {
  static const std::map<std::string, std::set<std::string>> fields = {
      {"Pod", {"apiVersion", "kind", "metadata", "spec"}},
      {"Secret", {"apiVersion", "kind", "metadata", "type", "data", "stringData", "immutable"}},
      {"metadata", {"name", "namespace", "labels", "annotations", "ownerReferences"}},
      {"spec",
       {"restartPolicy", "automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds",
        "serviceAccountName", "priorityClassName", "runtimeClassName", "imagePullSecrets", "nodeSelector",
        "tolerations", "securityContext", "volumes", "containers"}},
      {"container",
       {"name", "image", "imagePullPolicy", "command", "args", "env", "resources", "volumeMounts", "securityContext"}}};
  return fields;
}

std::string unknown_field(const json::object& object, const std::string& kind) {
  for (const auto& [key, value] : object) {
    if (!known_fields().at(kind).contains(std::string(key))) return kind + "." + std::string(key);
  }
  return {};
}

std::string unknown_in(json::object& object, const std::string& kind) {
  std::string out = unknown_field(object, kind);
  if (out.empty()) out = unknown_field(member(object, "metadata"), "metadata");
  if (kind != "Pod" || !out.empty()) return out;
  out = unknown_field(member(object, "spec"), "spec");
  for (const json::value& container : object["spec"].at("containers").as_array()) {
    if (out.empty()) out = unknown_field(container.as_object(), "container");
  }
  return out;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path + ".new") << text;
  std::rename((path + ".new").c_str(), path.c_str());
}

}  // namespace

FakeKubernetes::FakeKubernetes(asio::io_context& io, std::string directory)
    : io_(io), directory_(std::move(directory)) {
  const http::TlsIdentity identity = http::make_tls_identity({"127.0.0.1"}).value();
  write_file(directory_ + "/ca.crt", identity.certificate_pem);
  write_file(directory_ + "/namespace", "inference");
  set_token("token-1", true);
  http::Handler handler = [this](http::Exchange& exchange) { return handle(exchange); };
  http::ErrorBody error_body = [](int, std::string_view) { return std::string("{}"); };
  server_ = std::make_unique<http::Server>(io_, http::ServerLimits{}, std::move(handler), std::move(error_body));
  const auto bound = server_->listen(http::Address::parse("127.0.0.1:0").value(), "api", &identity);
  EXPECT_TRUE(bound.has_value());
  if (bound.has_value()) address_ = bound->to_string();
  owners["gateway"] = {{"metadata", json::object{{"name", "gateway"}, {"uid", "owner-uid"}}}};
}

// For tests/kubernetes: what was called and made, against the manifests' Role and the API's schemas.
FakeKubernetes::~FakeKubernetes() {
  const char* const directory = std::getenv("DORMOUSE_KUBERNETES_RECORD");
  if (directory == nullptr) return;
  std::ofstream called(std::string(directory) + "/verbs", std::ios::app);
  for (const std::string& verb : verbs) called << verb << "\n";
  std::ofstream made(std::string(directory) + "/objects", std::ios::app);
  for (const std::string& object : made_) made << object << "\n";
}

void FakeKubernetes::set_token(const std::string& token, bool tell_file) {
  token_ = token;
  if (tell_file) write_file(directory_ + "/token", token + "\n");
}

int FakeKubernetes::count(const std::string& call) const {
  int out = 0;
  for (const std::string& each : calls) out += each.starts_with(call) ? 1 : 0;
  return out;
}

void FakeKubernetes::touch(json::object& object) {
  member(object, "metadata")["resourceVersion"] = std::to_string(++version_);
}

std::map<std::string, json::object>* FakeKubernetes::store(const std::string& resource) {
  if (resource == "pods") return &pods;
  return resource == "secrets" ? &secrets : &owners;
}

FakeKubernetes::Answer FakeKubernetes::failure(int status, std::string_view reason, std::string_view message,
                                               const Target& target) {
  json::object details{{"kind", target.resource}};
  if (!target.name.empty()) details["name"] = target.name;
  return {status,
          {{"kind", "Status"},
           {"apiVersion", "v1"},
           {"status", "Failure"},
           {"message", message},
           {"reason", reason},
           {"details", std::move(details)},
           {"code", status}}};
}

// /api/v1/namespaces/inference/RESOURCE[/NAME] and /apis/apps/v1/namespaces/inference/statefulsets/NAME.
bool FakeKubernetes::parse(const http::Request& request, Target& out, std::string& verb) const {
  for (const std::string_view prefix : {"/api/v1/namespaces/inference/", "/apis/apps/v1/namespaces/inference/"}) {
    if (!request.path.starts_with(prefix)) continue;
    const std::string rest = request.path.substr(prefix.size());
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    out.resource = rest.substr(0, slash);
    out.name = rest.substr(std::min(slash + 1, rest.size()));
    const bool is_apps = prefix.starts_with("/apis");
    if (is_apps != (out.resource == "statefulsets")) return false;
  }
  const std::map<std::string, std::string> words = {{"GET", "get"}, {"PATCH", "patch"}, {"DELETE", "delete"}};
  const auto word = words.find(request.method);
  if (word == words.end()) return false;
  verb = request.method == "GET" && out.name.empty() ? "list" : word->second;
  if (parameter(request.query, "watch") == "true") verb = "watch";
  return out.resource == "pods" || out.resource == "secrets" || out.resource == "statefulsets";
}

Task<void> FakeKubernetes::handle(http::Exchange& exchange) {
  const http::Request& request = exchange.request();
  http::Response response;
  response.headers.set("content-type", "application/json");
  Target target;
  std::string verb;
  Answer answer;
  std::string nonsense;
  bool lose = false;
  const bool known = parse(request, target, verb);
  if (!http::has_bearer(request.headers, token_)) {
    if (on_unauthorized) on_unauthorized();
    answer = failure(401, "Unauthorized", "Unauthorized", target);
  } else if (!known) {
    answer = {404, {{"message", "404 page not found"}}};
  } else {
    const std::string call = verb + " " + target.resource;
    calls.push_back(call + " " + target.name);
    verbs.insert(call);
    const auto fault =
        std::find_if(faults.begin(), faults.end(), [&call](const Fault& each) { return each.call == call; });
    const Fault how = fault == faults.end() ? Fault() : *fault;
    if (fault != faults.end()) faults.erase(fault);
    if (verb == "watch" && offers_watch && how.status == 0) {
      Task<void> watching = watch(exchange);
      co_await std::move(watching);
      co_return;
    }
    const bool refuse = how.kind == Fault::Kind::kAnswer && how.status != 0;
    answer = refuse ? failure(how.status, how.reason, "as the test wants", target) : act(request, target, verb);
    lose = how.kind == Fault::Kind::kLoseReply;
    if (how.kind == Fault::Kind::kNonsense) nonsense = "<html>hello</html>";
    if (!how.retry_after.empty()) response.headers.set("retry-after", how.retry_after);
  }
  if (lose) {
    exchange.abort();
    co_return;
  }
  response.status = answer.status;
  response.body = nonsense.empty() ? json::serialize(answer.body) : nonsense;
  Task<Status> sending = exchange.send(std::move(response));
  static_cast<void>(co_await std::move(sending));
}

void FakeKubernetes::tell(const std::string& type, const json::object& pod) {
  const std::string version = text_of(pod.at("metadata").at("resourceVersion"));
  events_.push_back({number_in(version), type, pod});
  for (asio::steady_timer* const watcher : watchers_) watcher->cancel();
}

// 1. From a version that is forgotten: an ERROR event.
// 2. What has been since, then what comes, until timeoutSeconds are over.
Task<void> FakeKubernetes::watch(http::Exchange& exchange) {
  const std::string query = exchange.request().query;
  const std::uint64_t from = number_in(parameter(query, "resourceVersion"));
  Task<Status> starting = exchange.start_stream(200, {});
  static_cast<void>(co_await std::move(starting));
  if (from < oldest_version_) {  // 1
    json::object expired{{"type", "ERROR"}, {"object", failure(410, "Expired", "too old resource version", {}).body}};
    Task<Status> writing = exchange.write(json::serialize(expired) + "\n");
    static_cast<void>(co_await std::move(writing));
    Task<Status> ending = exchange.finish();
    static_cast<void>(co_await std::move(ending));
    co_return;
  }
  asio::steady_timer timer(io_);
  watchers_.insert(&timer);
  bool gone = false;
  std::function<void()> leave = [&gone, &timer] {
    gone = true;
    timer.cancel();
  };
  exchange.on_client_gone(std::move(leave));
  timer.expires_after(std::chrono::seconds(number_in(parameter(query, "timeoutSeconds"))));
  const asio::steady_timer::time_point end = timer.expiry();
  int told = 0;
  bool broken = false;
  for (std::size_t next = 0; !gone && !broken;) {  // 2
    for (; next < events_.size() && !broken && !gone; ++next) {
      if (events_[next].version <= from || !is_selected(events_[next].pod, parameter(query, "labelSelector"))) continue;
      json::object event{{"type", events_[next].type}, {"object", events_[next].pod}};
      Task<Status> writing = exchange.write(json::serialize(event) + "\n");
      static_cast<void>(co_await std::move(writing));
      broken = ++told == break_watch_after;
    }
    if (gone || broken) break;
    timer.expires_at(end);
    const auto [ec] = co_await timer.async_wait(kTuple);
    if (!ec) break;
  }
  exchange.on_client_gone({});
  watchers_.erase(&timer);
  if (broken) {
    exchange.abort();
    co_return;
  }
  Task<Status> ending = exchange.finish();
  static_cast<void>(co_await std::move(ending));
}

FakeKubernetes::Answer FakeKubernetes::act(const http::Request& request, const Target& target,
                                           const std::string& verb) {
  if (verb == "patch") return apply(request, target);
  if (verb == "list" && target.resource == "pods") return list(request);
  if (verb == "delete" && target.resource == "pods") return remove(request, target);
  if (verb != "get") return failure(405, "MethodNotAllowed", "not here", target);
  if (target.resource == "pods") step(target.name);
  auto* const objects = store(target.resource);
  const auto found = objects->find(target.name);
  if (found == objects->end()) return failure(404, "NotFound", target.name + " not found", target);
  return {200, found->second};
}

// 1. What is no apply, or has fields that there are not.
// 2. New: made. It needs the right to create, too.
// 3. A field that somebody else holds with another value: conflict, unless forced.
// 4. A Pod's spec does not change.
FakeKubernetes::Answer FakeKubernetes::apply(const http::Request& request, const Target& target) {
  json::error_code broken;
  json::value parsed = json::parse(request.body, broken);
  const bool is_apply = request.headers.find("content-type").value_or("") == "application/apply-patch+yaml";
  if (broken || !parsed.is_object() || !is_apply || parameter(request.query, "fieldManager").empty()) {  // 1
    return failure(400, "BadRequest", "no apply", target);
  }
  json::object wanted = parsed.get_object();
  const std::string kind = target.resource == "pods" ? "Pod" : "Secret";
  if (text_of(wanted["kind"]) != kind || text_of(wanted["apiVersion"]) != "v1" ||
      text_of(member(wanted, "metadata")["name"]) != target.name) {
    return failure(400, "BadRequest", "the object is not the one in the path", target);
  }
  const std::string unknown = unknown_in(wanted, kind);
  if (!unknown.empty() && parameter(request.query, "fieldValidation") == "Strict") {
    return failure(422, "Invalid", "unknown field " + unknown, target);
  }
  auto& objects = *store(target.resource);
  const auto found = objects.find(target.name);
  if (found == objects.end()) {  // 2
    verbs.insert("create " + target.resource);
    made_.push_back(json::serialize(wanted));
    member(wanted, "metadata")["uid"] = fmt::format("uid-{}", ++uids_);
    member(wanted, "metadata")["creationTimestamp"] = "2026-11-01T00:00:00Z";
    touch(wanted);
    if (kind == "Pod") wanted["status"] = json::object{{"phase", "Pending"}};
    objects[target.name] = wanted;
    if (kind == "Pod") tell("ADDED", wanted);
    return {201, std::move(wanted)};
  }
  json::object& labels = member(member(wanted, "metadata"), "labels");
  for (const auto& [key, value] : held_[target.name]) {  // 3
    const bool differs = labels.contains(key) && text_of(labels[key]) != value;
    if (differs && parameter(request.query, "force") != "true") {
      return failure(409, "Conflict", "Apply failed with 1 conflict: conflict with \"kubectl\"", target);
    }
  }
  if (kind == "Pod" && found->second["spec"] != wanted["spec"]) {  // 4
    return failure(422, "Invalid", "pod updates may not change fields", target);
  }
  if (kind == "Secret") found->second["data"] = wanted["data"];
  touch(found->second);
  return {200, found->second};
}

// Pages are of the moment of the first: a continue token carries its version, and is 410 when that is forgotten.
FakeKubernetes::Answer FakeKubernetes::list(const http::Request& request) {
  const std::string next = parameter(request.query, "continue");
  const std::size_t colon = next.find(':');
  std::uint64_t version = version_;
  std::string after;
  if (!next.empty()) {
    version = number_in(next);
    after = next.substr(colon + 1);
    if (expire_pages) return failure(410, "Expired", "The provided continue parameter is too old", {});
  }
  const std::size_t limit = number_in(parameter(request.query, "limit"));
  std::vector<std::string> names;
  for (const auto& [name, pod] : pods) names.push_back(name);
  for (const std::string& name : names) step(name);
  json::array items;
  json::object metadata{{"resourceVersion", std::to_string(version)}};
  for (auto& [name, pod] : pods) {
    if (name <= after || !is_selected(pod, parameter(request.query, "labelSelector"))) continue;
    if (limit > 0 && items.size() == limit) {
      const std::string last = text_of(items.back().at("metadata").at("name"));
      metadata["continue"] = fmt::format("{}:{}", version, last);
      break;
    }
    items.push_back(pod);
  }
  return {200,
          {{"kind", "PodList"}, {"apiVersion", "v1"}, {"metadata", std::move(metadata)}, {"items", std::move(items)}}};
}

FakeKubernetes::Answer FakeKubernetes::remove(const http::Request& request, const Target& target) {
  const auto found = pods.find(target.name);
  if (found == pods.end()) return failure(404, "NotFound", target.name + " not found", target);
  json::value options = json::parse(request.body.empty() ? "{}" : request.body);
  const json::object& conditions = member(options.as_object(), "preconditions");
  const json::value* const wanted = conditions.if_contains("uid");
  json::object& metadata = member(found->second, "metadata");
  if (wanted != nullptr && text_of(*wanted) != text_of(metadata["uid"])) {
    return failure(409, "Conflict", "Precondition failed: UID in precondition", target);
  }
  if (metadata.contains("deletionTimestamp")) return {200, found->second};  // once more changes nothing
  metadata["deletionTimestamp"] = "2026-11-01T00:00:30Z";
  touch(found->second);
  tell("MODIFIED", found->second);
  looks_[target.name] = 0;
  return {200, found->second};
}

void FakeKubernetes::collect(const std::string& uid) {
  std::erase_if(secrets, [&uid](const auto& entry) {
    const json::value* const owned = entry.second.at("metadata").as_object().if_contains("ownerReferences");
    return owned != nullptr && text_of(owned->at(0).at("uid")) == uid;
  });
}

void FakeKubernetes::remove_pod(const std::string& name) {
  const auto found = pods.find(name);
  if (found == pods.end()) return;
  const std::string uid = text_of(member(found->second, "metadata")["uid"]);
  touch(found->second);
  tell("DELETED", found->second);
  pods.erase(found);
  looks_.erase(name);
  collect(uid);
}

// A Pod that is told to end is still there for one look.
void FakeKubernetes::step(const std::string& name) {
  const auto found = pods.find(name);
  if (found == pods.end()) return;
  const int look = ++looks_[name];
  if (member(found->second, "metadata").contains("deletionTimestamp")) {
    if (node != Node::kLost && look > 1) remove_pod(name);
    return;
  }
  if (text_of(member(found->second, "status")["phase"]) != "Pending") return;
  touch(found->second);
  if (look > slow_looks) run_or_wait(name, found->second);
  tell("MODIFIED", found->second);
}

void FakeKubernetes::run_or_wait(const std::string& name, json::object& pod) {
  json::object& status = member(pod, "status");
  if (node == Node::kNone) {
    json::array conditions;
    conditions.push_back(json::object{{"type", "PodScheduled"},
                                      {"status", "False"},
                                      {"reason", "Unschedulable"},
                                      {"message", "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}});
    status["conditions"] = std::move(conditions);
    return;
  }
  if (node == Node::kCannotPull) {
    return set_container(pod, "Pending", waiting("ImagePullBackOff", "Back-off pulling image \"no/such:1\""));
  }
  if (!secrets.contains(name)) {
    return set_container(pod, "Pending", waiting("CreateContainerConfigError", "secret \"" + name + "\" not found"));
  }
  status["podIP"] = "10.1.2.3";
  set_container(pod, "Running", {{"name", "worker"}, {"state", json::object{{"running", json::object()}}}});
}

void FakeKubernetes::end_pod(const std::string& name, const std::string& phase, int exit_code,
                             const std::string& reason) {
  json::object& pod = pods.at(name);
  json::object terminated{{"exitCode", exit_code}, {"reason", reason}};
  json::object state{{"terminated", std::move(terminated)}};
  set_container(pod, phase, {{"name", "worker"}, {"state", std::move(state)}});
  touch(pod);
  tell("MODIFIED", pod);
}

void FakeKubernetes::put_pod(const std::string& name, json::object labels) {
  json::object pod{{"apiVersion", "v1"}, {"kind", "Pod"}};
  pod["metadata"] =
      json::object{{"name", name}, {"uid", fmt::format("uid-{}", ++uids_)}, {"labels", std::move(labels)}};
  pod["spec"] = json::object();
  pods[name] = std::move(pod);
  set_container(pods[name], "Running", {{"name", "worker"}, {"state", json::object{{"running", json::object()}}}});
  touch(pods[name]);
}

void FakeKubernetes::set_label(const std::string& name, const std::string& key, const std::string& value) {
  member(member(pods.at(name), "metadata"), "labels")[key] = value;
  held_[name][key] = value;
  touch(pods.at(name));
}

}  // namespace dormouse::fleet
