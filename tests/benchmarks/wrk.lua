-- wrk's script: `FILE` has one token a line, which take turns; `count` has the statuses counted. Prints one JSON object.
local threads = {}
local statuses = { 200, 401, 403, 500, 502, 503 }

function setup(thread) table.insert(threads, thread) end

function init(args)
  requests, at, other = {}, 0, 0
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. line })
  end
  for _, status in ipairs(statuses) do _G["count_" .. status] = 0 end
  if args[2] ~= "count" then response = nil end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function response(status)
  local name = "count_" .. status
  if _G[name] then _G[name] = _G[name] + 1 else other = other + 1 end
end

function done(summary, latency)
  local counted = {}
  for _, status in ipairs(statuses) do
    local sum = 0
    for _, thread in ipairs(threads) do sum = sum + thread:get("count_" .. status) end
    counted[#counted + 1] = string.format('"%d": %d', status, sum)
  end
  local others = 0
  for _, thread in ipairs(threads) do others = others + thread:get("other") end
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "socket_errors": %d, "bad_statuses": %d, "statuses": {%s, "other": %d}}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status, table.concat(counted, ", "), others))
end
