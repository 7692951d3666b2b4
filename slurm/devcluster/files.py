"""The devcluster's configuration files, as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

NODES = ("n1", "n2")
PORTS = ("ctld", "dbd", "sql", *NODES)

SLURM = """\
ClusterName=dev
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CredType=cred/munge
SlurmctldPort={ctld}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_min_interval=500000,batch_sched_delay=1,preempt_youngest_first
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MaxArraySize={array}
MaxJobCount=20000
MinJobAge=300
KillWait=10
SlurmdTimeout=20
SlurmctldTimeout=20
MessageTimeout=20
OverTimeLimit=0
JobAcctGatherType=jobacct_gather/none
{accounting}
NodeName=n1,n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1},{n2} CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=low Nodes=n1,n2 Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=0 MaxTime=INFINITE State=UP
PartitionName=cancel Nodes=n1,n2 PriorityTier=1 PreemptMode=CANCEL GraceTime=0 MaxTime=INFINITE State=UP
PartitionName=high Nodes=n1,n2 PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
"""

ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={root}/munge/socket
"""

DBD = """\
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
LogFile={root}/slurmdbd.log
PidFile={root}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""

SQL = """\
[mariadbd]
user={user}
datadir={root}/mariadb
socket={root}/mariadb.sock
pid-file={root}/mariadb.pid
log-error={root}/mariadb.log
bind-address=127.0.0.1
port={sql}
innodb_buffer_pool_size=64M
innodb_log_file_size=16M
innodb_lock_wait_timeout=900
"""


@dataclass(frozen=True)
class DevclusterSettings:
    """Values in the files. The daemons take the ports from `port` on. `memory` in MB per node. `array`: MaxArraySize."""

    port: int
    host: str
    user: str
    cpus: int
    memory: int
    array: int


def write(root: Path, settings: DevclusterSettings, accounting: bool) -> None:
    """Write slurm.conf, and for accounting slurmdbd.conf and my.cnf."""
    ports = {name: settings.port + i for i, name in enumerate(PORTS)}
    values: dict[str, object] = {**ports, **asdict(settings), "root": root}
    storage = ACCOUNTING.format(**values) if accounting else "AccountingStorageType=accounting_storage/none"
    (root / "slurm.conf").write_text(SLURM.format(**values, accounting=storage))
    if accounting:
        (root / "slurmdbd.conf").write_text(DBD.format(**values))
        (root / "slurmdbd.conf").chmod(0o600)
        (root / "my.cnf").write_text(SQL.format(**values))
