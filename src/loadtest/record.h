// What is kept of a run of `dormouse bench`: DATA-DIR/bench/<UTC time>-<instance type or "local">.json, for people, for
// --format json, and for `dormouse plan`, which believes a measurement over an estimate. PURE.
//
//   {"version":1,"at":"2026-11-01T08:00:00+00:00","url_host":"127.0.0.1:8080","model":"demo",
//    "instance_type":"t4",                          // "": not said (no --on)
//    "slo":{"ttft_s":1.0,"itl_s":0.1,"e2e_s":null}, // null: does not judge
//    "steps":[{"kind":"closed",                     // closed | poisson | constant | trace | cold
//      "concurrency":8,                             // closed: callers; else null
//      "rate":null,                                 // poisson, constant: requests a second; else null
//      "speed":null,                                // trace: how many times as fast as it was; else null
//      "requests":100,"failed":1,                   // that ended; of them those that failed
//      "duration_s":12.5,"requests_per_s":7.92,
//      "output_tokens_per_s":506.9,"input_tokens_per_s":1013.8,
//      "tokens_counted_by":"usage",                 // the server's usage | "pieces": of text, each counted as one
//      "ttft_s":{"p50":0.1,"p95":0.2,"p99":0.3,"mean":0.12},   // null: nothing to say, as the next two
//      "itl_s":{...},"e2e_s":{...},
//      "goodput":0.97,                              // share of requests that kept the SLO; null: none was set
//      "goodput_per_s":7.7,
//      "errors":{"timeout":1},                      // failed requests by kind (loadtest/summary.h)
//      "cost_per_million_tokens":{"micros":15384615,"currency":"CNY"}}]}   // of output; null: no price
//
// A request that failed is in no percentile and no rate. A reader ignores members it does not know; what changes the
// meaning of one raises the version.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "loadtest/summary.h"

namespace dormouse::loadtest {

struct BenchRecord {
  std::string at;        // ISO 8601, UTC: when it began
  std::string url_host;  // no path, no secrets
  std::string model;
  std::string instance_type;  // empty: not said
  Slo slo;
  std::vector<StepResult> steps;
};

[[nodiscard]] std::string to_json(const BenchRecord& record);
// What to_json wrote, of this version. Of the errors their words are gone, and of the steps the curves.
// Errors: kDataLoss, naming the member.
[[nodiscard]] Result<BenchRecord> parse_bench(std::string_view json);

}  // namespace dormouse::loadtest
