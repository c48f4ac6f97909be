# Why a test cannot have `testing.bootOnce`: a list of texts. Each says what cannot be saved, and what to do about it.
{
  config,
  lib,
  hostPkgs,
}:
let
  nodesWith =
    condition: lib.filter (name: condition config.nodes.${name}.virtualisation) names;
  names = lib.attrNames config.nodes;
  platform = hostPkgs.stdenv.hostPlatform;
  containers = lib.attrNames (config.containers or { });
  # The driver unmounts these two while it saves a machine.
  own = [
    "shared"
    "xchg"
  ];
  foreign = virtualisation: lib.attrNames (removeAttrs virtualisation.sharedDirectories own);

  faults = [
    {
      of = containers;
      text = "containers have no state that could be saved; use nodes";
    }
    {
      of = lib.optional (!platform.isx86_64) platform.system;
      text = "there is a CPU model that every builder has on x86_64 only";
    }
    {
      of = lib.optional (config.sshBackdoor.enable or false) "sshBackdoor.enable";
      text = "the SSH backdoor has a device whose state QEMU does not know; set it to false";
    }
    {
      of = nodesWith (virtualisation: virtualisation.tpm.enable or false);
      text = "the state of a TPM belongs to another process; set virtualisation.tpm.enable = false";
    }
    {
      of = nodesWith (virtualisation: virtualisation.useEFIBoot);
      text = "UEFI's variables are a raw image; set virtualisation.useEFIBoot = false";
    }
    {
      of = nodesWith (virtualisation: virtualisation.mountHostNixStore);
      text = "the host's store is mounted; set virtualisation.mountHostNixStore = false";
    }
    {
      of = nodesWith (
        virtualisation: foreign virtualisation != [ ] && !virtualisation.mountHostNixStore
      );
      text = "QEMU saves no machine with a share of the host; remove virtualisation.sharedDirectories, useHostCerts";
    }
  ];
in
map (fault: "testing.bootOnce: ${fault.text} (${lib.concatStringsSep ", " fault.of})") (
  lib.filter (fault: fault.of != [ ]) faults
)
