#include "cli/plan_flags.h"

#include <CLI/CLI.hpp>
#include <string_view>

namespace dormouse::cli {
namespace {

// Adds switches of one heading after another, in the reader's language.
class Adder {
 public:
  Adder(CLI::App& verb, const Context& context) : verb_(verb), context_(context) {}

  void heading(std::string_view english, std::string_view chinese) {
    group_ = std::string(context_.say(english, chinese));
  }
  template <typename T>
  CLI::Option* option(const char* name, T& value, std::string_view english, std::string_view chinese) {
    return verb_.add_option(name, value, std::string(context_.say(english, chinese)))->group(group_);
  }
  CLI::Option* flag(const char* name, bool& value, std::string_view english, std::string_view chinese) {
    return verb_.add_flag(name, value, std::string(context_.say(english, chinese)))->group(group_);
  }

 private:
  CLI::App& verb_;
  const Context& context_;
  std::string group_;
};

void add_requests(Adder& add, PlanFlags& f) {
  add.heading("Requests", "请求");
  add.option("--requests-per-day", f.requests_per_day, "of an active day", "每个活跃日的请求数");
  add.option("--seconds-per-request", f.seconds_per_request, "alone (default 2, or from the tokens)",
             "单次耗时（默认 2，或由词元数推算）");
  add.option("--input-tokens", f.input_tokens, "of one request", "单次请求的输入词元");
  add.option("--output-tokens", f.output_tokens, "of one answer", "单次回答的词元");
  add.option("--active-days", f.active_days, "of a month (default 25)", "每月活跃天数（默认 25）");
  add.option("--active-hours", f.active_hours, "of such a day (default 8)", "每天活跃小时（默认 8）");
  add.option("--profile", f.profile,
             "by the hours of a week: office, always, or a CSV with hour,requests or weekday,hour,requests",
             "按一周各小时分布：office、always，或 CSV（hour,requests 或 weekday,hour,requests）");
  add.option("--trace", f.trace, "measured ones: CSV with t_s,service_s or t_s,input_tokens,output_tokens",
             "实测请求：CSV，列为 t_s,service_s 或 t_s,input_tokens,output_tokens");
  add.option("--holes", f.holes, "of a trace, a week without a request: refuse (default) or keep",
             "记录中超过一周的空白：refuse（默认）或 keep")
      ->check(CLI::IsMember({"refuse", "keep"}));
  CLI::Option* const measured =
      add.option("--measured", f.measured, "what a deployment was asked, from the running server's ledger",
                 "正在运行的服务账本中某个部署的实测请求")
          ->expected(0, 1)
          ->type_name("[DEPLOYMENT]");
  add.option("--days", f.days, "of the ledger, back from now (default 30)", "账本中最近多少天（默认 30）");
  add.flag("--apply", f.is_applied, "change the deployment as advised", "按建议修改该部署")->needs(measured);
}

void add_instance(Adder& add, PlanFlags& f) {
  add.heading("Instance and price", "实例与价格");
  add.option("--on", f.on, "instance type; without it all are ranked", "实例类型；不填则全部排序");
  add.option("--idle-timeout", f.idle_timeout, "before it sleeps (default 10m)", "空闲多久后休眠（默认 10m）");
  add.option("--wake", f.wake, "how long a wake takes, paid (default 30s)", "唤醒耗时，计费（默认 30s）");
  add.option("--fast-wake", f.fast_wake, "of the row that sleeps at once (default 1s)",
             "“立即休眠”一行的唤醒耗时（默认 1s）");
  add.option("--slots", f.slots, "requests at once (default 1; 0: without limit)",
             "同时处理的请求数（默认 1；0 为不限）");
  add.option("--slowdown", f.slowdown, "of each by one more at once, 0 to 1 (default: measured, or by roofline)",
             "每多一个并发请求变慢的比例，0 到 1（默认取实测或估算）");
  add.option("--tokens-per-second", f.tokens_per_second, "of one answer (default: measured, or the type's)",
             "单个回答的速度（默认取实测值或类型的标称值）");
  add.option("--model", f.model, "of the Qwen3 family (default qwen3-4b)", "Qwen3 系列模型（默认 qwen3-4b）");
  add.option("--quant", f.quant, "f16, q8_0, q4_k_m, q2_k ... (default q4_k_m)",
             "量化：f16、q8_0、q4_k_m、q2_k…（默认 q4_k_m）");
  add.option("--context", f.context, "tokens a request has room for (default 4096)",
             "每个请求的上下文词元数（默认 4096）");
  add.option("--currency", f.currency, "what sums are told in (default: the type's own)",
             "金额的货币（默认取实例类型的货币）");
  add.option("--rate", f.rates, "USD=7.10: of [prices] currency, CNY unless it says", "汇率，如 USD=7.10");
  add.option("--around", f.around, "paid beside the instance: \"gateway-host=30 CNY/month\"",
             "实例之外的费用：“gateway-host=30 CNY/month”");
  add.option("--config", f.config, "whose [[instance]] and [prices] count (default DATA-DIR/dormouse.toml)",
             "其中的 [[instance]] 和 [prices] 提供价格（默认 数据目录/dormouse.toml）");
}

void add_details(Adder& add, PlanFlags& f) {
  add.heading("Details and goals", "详情与目标");
  add.flag("--details", f.has_details, "also: timeouts, instances, quantisations, what it hangs on",
           "另外给出：休眠时间、实例数、量化、敏感度");
  add.option("--max-cold", f.most_cold_percent, "goal: per cent of cold requests", "目标：冷请求百分比上限");
  add.option("--max-p99", f.most_p99_s, "goal: seconds", "目标：p99 秒数上限");
  add.option("--spike", f.spike, "requests of the day that instances are counted for", "计算实例数所用那一天的请求数");
  add.option("--spike-hours", f.spike_hours, "in so many hours", "集中在几小时内");
  add.option("--instances", f.instances, "at most (default 4)", "最多实例数（默认 4）");
  add.option("--deferred", f.deferred_percent, "per cent of requests that may wait", "可以延后的请求百分比");
  add.option("--deadline", f.deadline, "for so long (default 24h)", "最多延后多久（默认 24h）");
}

}  // namespace

void add_plan_flags(CLI::App& verb, const Context& context, PlanFlags& flags) {
  Adder add(verb, context);
  add_requests(add, flags);
  add_instance(add, flags);
  add_details(add, flags);
  add.heading("Output", "输出");
  add.option("--format", flags.format, "table, json, csv or md", "table、json、csv 或 md")
      ->check(CLI::IsMember({"table", "json", "csv", "md"}));
  verb.footer(
      std::string(context.say("Examples:\n"
                              "  dormouse plan --requests-per-day 800 --seconds-per-request 2 --on t4\n"
                              "  dormouse plan --requests-per-day 800 --output-tokens 100 --rate USD=7.10\n"
                              "  dormouse plan --trace requests.csv --on t4 --slots 4 --details\n"
                              "  dormouse plan --measured chat --apply",
                              "示例：\n"
                              "  dormouse plan --requests-per-day 800 --seconds-per-request 2 --on t4\n"
                              "  dormouse plan --requests-per-day 800 --output-tokens 100 --rate USD=7.10\n"
                              "  dormouse plan --trace requests.csv --on t4 --slots 4 --details\n"
                              "  dormouse plan --measured chat --apply")));
}

}  // namespace dormouse::cli
