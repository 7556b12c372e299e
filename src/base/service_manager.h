// What a service tells the manager that started it, by sd_notify(3)'s protocol: a datagram to the socket that
// NOTIFY_SOCKET names. Threads: any.
#pragma once

#include <string_view>

namespace dormouse {

// "READY=1", "STOPPING=1". Nothing happens where no manager listens; one that does not take it is not waited for.
void tell_service_manager(std::string_view state);

}  // namespace dormouse
