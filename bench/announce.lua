-- Random announces for wrk. KEYS names a file of announce keys, one a line; TORRENTS and PEERS bound the choice.
local torrents = tonumber(os.getenv("TORRENTS") or "100")
local peers = tonumber(os.getenv("PEERS") or "10000")
local close = os.getenv("CLOSE")
local keys = {}
for line in io.lines(os.getenv("KEYS")) do keys[#keys + 1] = line end
local hashes = {}
for i = 1, torrents do
  hashes[i] = string.format("%%%02x%%%02x", math.floor((i - 1) / 256), (i - 1) % 256) .. string.rep("%ab", 18)
end
local headers = { ["User-Agent"] = "qBittorrent/5.1.0", ["Accept-Encoding"] = "gzip" }
if close then headers["Connection"] = "close" end
math.randomseed(os.time())
request = function()
  local peer = math.random(0, peers - 1)
  return wrk.format("GET", "/announce/" .. keys[peer % #keys + 1]
    .. "?info_hash=" .. hashes[math.random(1, torrents)] .. "&peer_id=-qB5100-" .. string.format("%012d", peer)
    .. "&port=" .. (6881 + peer % 1000) .. "&uploaded=0&downloaded=0&left=" .. (peer % 3)
    .. "&event=started&corrupt=0&key=ABCD1234&numwant=50&compact=1&no_peer_id=1&supportcrypto=1&redundant=0", headers)
end
