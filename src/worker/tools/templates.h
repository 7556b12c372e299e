// The published Qwen3 chat templates, embedded at build time from templates/*.jinja (Apache-2.0, see templates/NOTICE).
#pragma once

#include <string_view>

namespace dormouse::worker {

extern const std::string_view kTemplateHybrid;
extern const std::string_view kTemplateInstruct2507;
extern const std::string_view kTemplateThinking2507;

}  // namespace dormouse::worker
