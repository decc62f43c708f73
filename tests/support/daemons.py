"""Proxies as other people make them, in a folder of their own: squid and nginx."""

import shutil
import socket
from pathlib import Path
from tempfile import mkdtemp

from scapy_mobsec.packet.path import Endpoint

SQUID = """
http_port {endpoint}
visible_hostname proxy.example
pid_filename {folder}/pid
cache_log {folder}/log
access_log none
coredump_dir {folder}
cache deny all
shutdown_lifetime 0 seconds
{rules}
http_access deny all
"""

NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/log;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {blocks}
}}
"""


class Daemon:
    """A proxy that runs in a namespace of a lab, until that is closed. `log`: what it wrote."""

    def __init__(self, lab, name, endpoint):
        self._lab, self._name, self._endpoint = lab, name, endpoint
        self._process = None
        self.folder = Path(mkdtemp(prefix="mobsec-proxy-"))
        self.folder.chmod(0o777)  # squid goes on as a user of its own

    def squid(self, rules):
        """`rules`: who may do what."""
        self._write(SQUID, rules=rules)
        return self._start("squid", "-N", "-f", f"{self.folder}/conf")

    def nginx(self, blocks):
        """`blocks`: of http."""
        self._write(NGINX, blocks=blocks)
        return self._start(
            "nginx", "-p", str(self.folder), "-c", f"{self.folder}/conf", "-e", f"{self.folder}/log"
        )

    def is_up(self):
        """Tell whether it can be asked."""
        with self._lab.inside(self._name), socket.socket() as asking:
            address = str(Endpoint(self._endpoint.address)), self._endpoint.port
            return asking.connect_ex(address) == 0

    @property
    def log(self):
        return "".join(each.read_text() for each in self.folder.glob("log"))

    def close(self):
        if self._process:
            self._process.kill()  # squid would take its time
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, template, **parts):
        text = template.format(folder=self.folder, endpoint=self._endpoint, **parts)
        (self.folder / "conf").write_text(text)

    def _start(self, *argv):
        with open(self.folder / "out", "wb") as output:
            self._process = self._lab.start(self._name, argv, output=output)
        return self
