// npm's tree-kill as a worker: a request is a line "PID GRACE CGROUP",
// an answer "START END CPU ALIVE" in seconds of the monotonic clock.
// It signals once and does not wait, so grace only chooses the signal, and no survivor is reported.
const fs = require("node:fs");
const readline = require("node:readline");
const kill = require("tree-kill");

const TICKS_A_SECOND = 100; // USER_HZ, a constant of the Linux ABI, see proc(5)

const seconds = () => Number(process.hrtime.bigint()) / 1e9;

// Fields 14 to 17 of proc(5), children included; process.cpuUsage() leaves out what `ps` cost.
function cpu() {
  const stat = fs.readFileSync("/proc/self/stat", "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 15).map(Number);
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6 + (fields[2] + fields[3]) / TICKS_A_SECOND;
}

function answer(start, used, failure) {
  const end = seconds();
  process.stdout.write(`${start} ${end} ${cpu() - used} ${failure ? 1 : 0}\n`);
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [pid, grace] = line.split(" ").map(Number);
  const start = seconds();
  const used = cpu();
  kill(pid, grace > 0 ? "SIGTERM" : "SIGKILL", (failure) => answer(start, used, failure));
});
