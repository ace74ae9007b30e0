{
  'targets': [
    {
      'target_name': 'tdmf',
      'sources': [
        'addon.cc',
        'device.cc',
        'descriptors.cc',
        'digest.cc',
        'executor.cc',
        'instruction.cc',
        'lz4.cc',
        'page.cc',
        'ring.cc',
        'uring.cc',
        'work.cc',
        'xxh3.cc',
      ],
      'dependencies': [
        '<!(node -p "require(\'node-addon-api\').targets"):node_addon_api_except',
      ],
      'defines': ['NAPI_VERSION=8'],
      'cflags_cc!': ['-std=gnu++17'],
      'cflags_cc': ['-std=gnu++17', '-O2', '-Wall', '-Wextra', '-Wno-unused-parameter'],
    },
  ],
}
