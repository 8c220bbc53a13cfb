// TUN devices: open a queue in a network namespace, set what the queue or the device offers, ask, delete.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "binding.h"

namespace v2n {
namespace {

// The calling thread is in another network namespace for as long as this lives. An empty path means its own.
class InNamespace {
 public:
  explicit InNamespace(const std::string& path) {
    if (path.empty()) return;
    Descriptor there(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!there.valid()) {
      Fail("open of the namespace");
      return;
    }
    home_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home_ < 0) {
      Fail("open of the own namespace");
    } else if (setns(there.get(), CLONE_NEWNET) != 0) {
      Fail("setns");
      close(home_);
      home_ = -1;
    }
  }
  InNamespace(const InNamespace&) = delete;
  InNamespace& operator=(const InNamespace&) = delete;
  ~InNamespace() {
    if (home_ < 0) return;
    const int kept = errno;
    // A thread that cannot go home would go on in a stranger's network, so the process does not go on.
    if (setns(home_, CLONE_NEWNET) != 0) {
      std::fprintf(stderr, "v2n: cannot return to the own network namespace: %s\n", std::strerror(errno));
      std::abort();
    }
    close(home_);
    errno = kept;
  }

  bool ok() const { return error_ == 0; }
  int error() const { return error_; }
  const char* failed() const { return failed_; }

 private:
  void Fail(const char* call) {
    error_ = errno;
    failed_ = call;
  }

  int home_ = -1;
  int error_ = 0;
  const char* failed_ = "";
};

bool SetName(ifreq* request, const std::string& name) {
  std::memset(request, 0, sizeof *request);
  if (name.empty() || name.size() >= IFNAMSIZ) return false;
  std::memcpy(request->ifr_name, name.c_str(), name.size());
  return true;
}

// tunOpen(namespacePath, name, interfaceFlags, virtioHeaderLength): descriptor
int TunOpen(Call& call) {
  const std::string path = call.Text(0);
  const std::string name = call.Text(1);
  const int flags = call.Int(2);
  int header_length = call.Int(3);
  ifreq request;
  if (!call.ok()) return call.Mistyped();
  if (!SetName(&request, name)) return call.Failed("ioctl TUNSETIFF", name.empty() ? EINVAL : ENAMETOOLONG);
  request.ifr_flags = static_cast<short>(flags);

  Descriptor tun;
  {
    // The device belongs to the namespace in which /dev/net/tun is opened; the ioctls follow the descriptor.
    InNamespace there(path);
    if (!there.ok()) return call.Failed(there.failed(), there.error());
    tun.Reset(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!tun.valid()) return call.Failed("open of /dev/net/tun");
  }
  if (ioctl(tun.get(), TUNSETIFF, &request) != 0) return call.Failed("ioctl TUNSETIFF");
  if ((flags & IFF_VNET_HDR) != 0 && ioctl(tun.get(), TUNSETVNETHDRSZ, &header_length) != 0)
    return call.Failed("ioctl TUNSETVNETHDRSZ");
  return Own(call, &tun);
}

// tunOffload(descriptor, flags): 0
int TunOffload(Call& call) {
  const int fd = call.Int(0);
  const unsigned flags = call.Unsigned(1);
  if (!call.ok()) return call.Mistyped();
  if (ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(flags)) != 0) return call.Failed("ioctl TUNSETOFFLOAD");
  return 0;
}

// tunPersist(descriptor, on): 0
int TunPersist(Call& call) {
  const int fd = call.Int(0);
  const int on = call.Int(1);
  if (!call.ok()) return call.Mistyped();
  if (ioctl(fd, TUNSETPERSIST, static_cast<unsigned long>(on != 0)) != 0) return call.Failed("ioctl TUNSETPERSIST");
  return 0;
}

// tunFlags(descriptor): interface flags, IFF_PERSIST and IFF_MULTI_QUEUE among them
int TunFlags(Call& call) {
  const int fd = call.Int(0);
  if (!call.ok()) return call.Mistyped();
  ifreq request;
  std::memset(&request, 0, sizeof request);
  if (ioctl(fd, TUNGETIFF, &request) != 0) return call.Failed("ioctl TUNGETIFF");
  return request.ifr_flags & 0xffff;
}

// tunSteering(descriptor, program): 0. A program of -1 detaches.
int TunSteering(Call& call) {
  const int fd = call.Int(0);
  int program = call.Int(1);
  if (!call.ok()) return call.Mistyped();
  if (ioctl(fd, TUNSETSTEERINGEBPF, &program) != 0) return call.Failed("ioctl TUNSETSTEERINGEBPF");
  return 0;
}

// tunQueueLength(namespacePath, name, frames): 0
int TunQueueLength(Call& call) {
  const std::string path = call.Text(0);
  const std::string name = call.Text(1);
  const int length = call.Int(2);
  ifreq request;
  if (!call.ok() || !SetName(&request, name)) return call.Mistyped();
  request.ifr_qlen = length;
  InNamespace there(path);
  if (!there.ok()) return call.Failed(there.failed(), there.error());
  Descriptor any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!any.valid()) return call.Failed("socket");
  if (ioctl(any.get(), SIOCSIFTXQLEN, &request) != 0) return call.Failed("ioctl SIOCSIFTXQLEN");
  return 0;
}

// tunKind(namespacePath, name): 0 no such device, 1 a TUN device, 2 a TAP device, 3 another kind
int TunKind(Call& call) {
  const std::string path = call.Text(0);
  const std::string name = call.Text(1);
  ifreq request;
  if (!call.ok() || !SetName(&request, name)) return call.Mistyped();
  InNamespace there(path);
  if (!there.ok()) return call.Failed(there.failed(), there.error());
  Descriptor any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!any.valid()) return call.Failed("socket");
  if (ioctl(any.get(), SIOCGIFINDEX, &request) != 0) return errno == ENODEV ? 0 : call.Failed("ioctl SIOCGIFINDEX");
  ethtool_drvinfo driver;
  std::memset(&driver, 0, sizeof driver);
  driver.cmd = ETHTOOL_GDRVINFO;
  request.ifr_data = reinterpret_cast<char*>(&driver);
  if (ioctl(any.get(), SIOCETHTOOL, &request) != 0 || std::strcmp(driver.driver, "tun") != 0) return 3;
  return std::strcmp(driver.bus_info, "tap") == 0 ? 2 : 1;
}

}  // namespace

const Export kTunExports[] = {
    {"tunOpen", Answer<TunOpen>},         {"tunOffload", Answer<TunOffload>},
    {"tunPersist", Answer<TunPersist>},   {"tunFlags", Answer<TunFlags>},
    {"tunSteering", Answer<TunSteering>}, {"tunQueueLength", Answer<TunQueueLength>},
    {"tunKind", Answer<TunKind>},         {nullptr, nullptr},
};

}  // namespace v2n
