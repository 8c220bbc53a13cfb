// Frames by read and write, for where io_uring is refused: bursts into and out of places of one piece of memory, and poll.
#include <cerrno>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include "binding.h"

namespace v2n {
namespace {

// frameRead(descriptor, memory, offsets, count, bytes, results): frames read
// Reads one frame into each place, `bytes` at most, until a read fails. results[i] is what the i-th read said; the entry
// after the last frame, where there is one, holds the negative errno that ended the burst.
int FrameRead(Call& call) {
  const int fd = call.Int(0);
  std::size_t length = 0, places = 0, room = 0;
  uint8_t* memory = call.Bytes(1, &length);
  const int32_t* offsets = call.Words(2, &places);
  const std::size_t count = call.Unsigned(3);
  const std::size_t bytes = call.Unsigned(4);
  int32_t* results = call.Words(5, &room);
  if (!call.ok() || count > places || count > room) return call.Mistyped();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = static_cast<uint32_t>(offsets[i]);
    if (at > length || bytes > length - at) return call.Mistyped();
    ssize_t got;
    do {
      got = read(fd, memory + at, bytes);
    } while (got < 0 && errno == EINTR);
    results[i] = got < 0 ? -errno : static_cast<int32_t>(got);
    if (got < 0) return static_cast<int>(i);
  }
  return static_cast<int>(count);
}

// frameWrite(descriptors, memory, offsets, lengths, count, results): frames written whole
// Frame i goes to descriptors[i]; every one is tried. results[i] is what the i-th write said.
int FrameWrite(Call& call) {
  std::size_t files = 0, length = 0, places = 0, sizes = 0, room = 0;
  const int32_t* descriptors = call.Words(0, &files);
  const uint8_t* memory = call.Bytes(1, &length);
  const int32_t* offsets = call.Words(2, &places);
  const int32_t* lengths = call.Words(3, &sizes);
  const std::size_t count = call.Unsigned(4);
  int32_t* results = call.Words(5, &room);
  if (!call.ok() || count > files || count > places || count > sizes || count > room) return call.Mistyped();
  int written = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = static_cast<uint32_t>(offsets[i]);
    const std::size_t bytes = static_cast<uint32_t>(lengths[i]);
    if (at > length || bytes > length - at) return call.Mistyped();
    ssize_t put;
    do {
      put = write(descriptors[i], memory + at, bytes);
    } while (put < 0 && errno == EINTR);
    results[i] = put < 0 ? -errno : static_cast<int32_t>(put);
    if (put >= 0) ++written;
  }
  return written;
}

// poll(descriptors, count, milliseconds, ready): descriptors that are ready
// ready[i] is the poll mask of the i-th descriptor. A negative time waits without end.
int Poll(Call& call) {
  std::size_t files = 0, room = 0;
  const int32_t* descriptors = call.Words(0, &files);
  const std::size_t count = call.Unsigned(1);
  const int milliseconds = call.Int(2);
  int32_t* ready = call.Words(3, &room);
  if (!call.ok() || count > files || count > room) return call.Mistyped();
  std::vector<pollfd> set(count);
  for (std::size_t i = 0; i < count; ++i) set[i] = {descriptors[i], POLLIN, 0};
  const int found = poll(set.data(), count, milliseconds);
  if (found < 0) return call.Failed("poll");
  for (std::size_t i = 0; i < count; ++i) ready[i] = set[i].revents;
  return found;
}

}  // namespace

const Export kFrameExports[] = {
    {"frameRead", Answer<FrameRead>},
    {"frameWrite", Answer<FrameWrite>},
    {"poll", Answer<Poll>},
    {nullptr, nullptr},
};

}  // namespace v2n
