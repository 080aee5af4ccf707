-- wrk script: POST the bodies of a file in turn, then print one JSON line.
-- Arguments after "--": the bodies file (one JSON text a line), the headers file ("Name: value" a line).
local requests, at = {}, 0

function init(args)
  for line in io.lines(args[2]) do
    local name, value = line:match("^([^:]+):%s*(.*)$")
    wrk.headers[name] = value
  end
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", wrk.path, wrk.headers, line)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
