"""TLS as Mozilla recommends it: sslyze, unmodified, finds Slipway's listener to be of the intermediate profile, with every
suite, curve, version and certificate that it offers; and with `listener.tls.min_version = "1.3"` of the modern one.

Usage:  mozilla.py
"""

import subprocess

import rig

# It tries every suite of every version, a handshake each: 10 s on an idle machine.
SSLYZE_LIMIT_S = 100
# Mozilla's intermediate profile wants 366 days or fewer, the modern one 90.
DAYS = "90"

folder = rig.Folder("mozilla")
(folder / "certs").mkdir()
slipway = rig.Slipway(folder, ["/bin/false"])


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], cwd=folder.path, check=True, capture_output=True, timeout=rig.ANSWER_LIMIT_S)


def sslyze(profile, *more):
    """Whether our listener is of that profile, and what it said of it."""
    arguments = [rig.VENVS / "sslyze/bin/sslyze", f"--mozilla_config={profile}", *more, f"localhost:{slipway.port}"]
    done = subprocess.run(arguments, cwd=folder.path, capture_output=True, text=True, timeout=SSLYZE_LIMIT_S, check=False)
    said = done.stdout.partition("COMPLIANCE AGAINST")[2] + done.stderr
    rig.check("Mozilla" in said or profile in said, f"it said nothing of the profile: {done.stdout}{done.stderr}")
    slipway.program.must_run()
    return done.returncode == 0, said


def an_authority_gives_us_a_certificate():
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", DAYS, "-subj", "/CN=Test authority",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", "-x509", *key, "-keyout", "certs/localhost.key", "-out", "certs/localhost.pem", "-days", DAYS, "-subj",
            "/CN=localhost", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost", "-addext",
            "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth")
    slipway.start()


def it_is_of_the_intermediate_profile():
    is_of_it, said = sslyze("intermediate", f"--certinfo_ca_file={folder / 'ca.pem'}")
    rig.check(is_of_it, said)


def sslyze_would_say_what_is_wrong():
    is_of_it, said = sslyze("modern", f"--certinfo_ca_file={folder / 'ca.pem'}")
    rig.check(not is_of_it and "TLSv1.2" in said, said)
    is_of_it, said = sslyze("intermediate")
    rig.check(not is_of_it and said.count("* ") == 1 and "path validation" in said, said)


def with_version_1_3_alone_it_is_of_the_modern_one():
    slipway.program.end()
    with open(slipway.config, "a", encoding="utf-8") as config:
        config.write('[listener.tls]\nmin_version = "1.3"\n')
    slipway.program.start()
    rig.until("slipway answers", lambda: rig.listens(slipway.port))
    is_of_it, said = sslyze("modern", f"--certinfo_ca_file={folder / 'ca.pem'}")
    rig.check(is_of_it, said)
    slipway.end()


rig.tell(
    an_authority_gives_us_a_certificate,
    it_is_of_the_intermediate_profile,
    sslyze_would_say_what_is_wrong,
    with_version_1_3_alone_it_is_of_the_modern_one,
)
