/* A plugin that calls a function which no library has. */
#include "millgate_plugin.h"

extern MgStatus nobody_has_this_function(const MgHost *host);

static MgStatus init(const MgHost *host) { return nobody_has_this_function(host); }

const MgManifest millgate_plugin_v1 = {
  .magic = MG_MAGIC,
  .size = sizeof(MgManifest),
  .init = init,
};
