{
  'variables': { 'sanitize%': '0' },
  'targets': [
    {
      'target_name': 'v2n',
      'sources': [
        'src/addon.cc',
        'src/binding.cc',
        'src/bpf.cc',
        'src/frames.cc',
        'src/memory.cc',
        'src/thread.cc',
        'src/tun.cc',
        'src/uring.cc',
      ],
      'defines': ['NAPI_VERSION=8'],
      # Node's own headers come by -isystem so that their warnings are not ours.
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': [
        '-std=c++17', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden',
      ],
      'conditions': [
        ['sanitize=="1"', {
          'cflags_cc': ['-fsanitize=address', '-fno-omit-frame-pointer', '-g', '-O1'],
          'ldflags': ['-fsanitize=address', '-shared-libasan'],
          'cflags_cc!': ['-O3'],
        }],
      ],
    },
  ],
}
