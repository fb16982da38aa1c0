# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_flowdump_global_optspecs
    string join \n r/read= R/range= M/dirs= t/time= c/count= f/filter-file= s/stat= a/aggregate-flows b/bidirectional B/guess-direction A/aggregate= bucket= distinct= percentile= error O/order= P/post-filter= n/top= I/info g/files E/exporters= W/threads= memory= two-passes-from= decode-only follow Z/check explain o/output= w/write= force C/config= G/geo= color= no-scale scale N/plain q/quiet no-progress summary= anonymize= anonymize-with= 6/ipv6 utc h/help V/version
end

function __fish_flowdump_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_flowdump_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_flowdump_using_subcommand
    set -l cmd (__fish_flowdump_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c flowdump -n "__fish_flowdump_needs_command" -s r -l read -d 'File, or directory with everything below it [default: ./flows]' -r -F
complete -c flowdump -n "__fish_flowdump_needs_command" -s R -l range -d 'Files in sequence: `first:last`, or `first` to the end of its tree' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s M -l dirs -d '-r, -R or all there is in each of several directories side by side: `/var/flows/east:west`' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s t -l time -d 'Only flows completely inside a window: `2026/05/28.20:26:40-2026/05/28.21`, `2026/05/28`, `2026-05-28T20:00:00Z..2026-05-28T21:00:00Z`, `-1h`, `today`' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s c -l count -d 'Stop after N matching records' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s f -l filter-file -d 'Read the filter from a file' -r -F
complete -c flowdump -n "__fish_flowdump_needs_command" -s s -l stat -d 'Statistics about a value: `srcip`, `dstport/bytes`, `proto:p/packets/flows:a`; repeat for more' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s A -l aggregate -d 'Flows with the same values in one row: `srcip4/24,srcip6/48,dstport`; names of columns will do. With `-s record/bytes` the first ten by bytes' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l bucket -d 'Groups by the spans of time their flows began in, or sums of these alone: `10s`, `5m`, `1h`, `1d`. Rates are over the span, -n is of each span where rows are in their order' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l distinct -d 'How many different values columns have in each group, or in all: `dstport,srcip`. Exact' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l percentile -d 'Percentiles over the records of each group, or of all, of bytes, packets, duration, bps, pps or bpp: `bytes:95`. `bps@5m:95` is over the rates of five minutes each, as transit is billed' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s O -l order -d 'What records, or rows of -a and -A, are ranked by: `bytes`, `packets:a`, `bytes,tstart`; of equals the next decides [default: of -a and -A flows]' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s P -l post-filter -d 'Which rows of -a, -A, -b, -B and -s: `bytes > 1g`; what they have, counters and keys' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s n -l top -d 'The N first of every statistic, or of -a, -A and -O; 0 is all [default: 10 of a statistic]' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s E -l exporters -d 'Exporters and their sampling rates, from metadata alone' -r -F
complete -c flowdump -n "__fish_flowdump_needs_command" -s W -l threads -d 'Threads that work on the answer [default: one for each processor]' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l memory -d 'Memory for groups and for -O; what has no room there goes to a temporary file [default: a quarter of the machine\'s]' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l two-passes-from -d 'Rows from which two passes find the largest groups: 0 lets tests reach both' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s o -l output -d 'How rows are printed; a 6 at the end shows IPv6 in full [default: line, of -b and -B biline]' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -s w -l write -d 'Write flows, or the rows of -a and -A, to a Parquet file that -r reads again' -r -F
complete -c flowdump -n "__fish_flowdump_needs_command" -s C -l config -d 'File with names for formats, `[formats]` and below it `short = "fmt:%ts %sap -> %dap"` [default: $FLOWDUMP_CONFIG, else ~/.config/flowdump.toml, else /etc/flowcap/flowdump.toml]; `none` reads no file' -r -F
complete -c flowdump -n "__fish_flowdump_needs_command" -s G -l geo -d 'Where addresses are and whose, for `geo` and `asn` in -s, -A and filters, and for tags such as %sc: a database in MaxMind\'s format; repeat for more; `none` is none [default: what `geo` in the file of --config names]' -r -F
complete -c flowdump -n "__fish_flowdump_needs_command" -l color -d 'Colours in what is for people: auto, always or never [default: auto, where a terminal shows it and NO_COLOR is not set]' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l summary -d '`json`: the summary as an object on stderr, in every format, instead of text below the answer' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l anonymize -d 'Addresses that keep their prefixes and nothing else (Crypto-PAn), without MAC addresses and texts: 32 characters, or `0x` and 64 digits. Filters see the true ones' -r
complete -c flowdump -n "__fish_flowdump_needs_command" -l anonymize-with -d 'The same, with a key that lies in a file, where `ps` does not show it' -r -F
complete -c flowdump -n "__fish_flowdump_needs_command" -s a -l aggregate-flows -d 'Flows of one 5-tuple in one row: `-A proto,srcip,dstip,srcport,dstport`'
complete -c flowdump -n "__fish_flowdump_needs_command" -s b -l bidirectional -d 'As -a, of TCP and UDP with the flows that answer, in the direction of what began first'
complete -c flowdump -n "__fish_flowdump_needs_command" -s B -l guess-direction -d 'As -b, from client to server as far as ports tell'
complete -c flowdump -n "__fish_flowdump_needs_command" -l error -d 'How far packets and bytes may be off for being sampled, 95 times in 100: 196 * sqrt(1/c) percent of c sampled packets'
complete -c flowdump -n "__fish_flowdump_needs_command" -s I -l info -d 'Totals of the files by protocol, from their metadata alone'
complete -c flowdump -n "__fish_flowdump_needs_command" -s g -l files -d 'A line of CSV for each file, from its metadata alone: start of its slot, flows, packets, bytes'
complete -c flowdump -n "__fish_flowdump_needs_command" -l decode-only -d 'Only decode the columns the answer needs, all rows: what the benchmark compares with'
complete -c flowdump -n "__fish_flowdump_needs_command" -l follow -d 'Rows as they come, like `tail -f`: those received from now on, or since the start of `-t`'
complete -c flowdump -n "__fish_flowdump_needs_command" -s Z -l check -d 'Check the filter and stop'
complete -c flowdump -n "__fish_flowdump_needs_command" -l explain -d 'Say what the filter means and what it spares reading, and stop'
complete -c flowdump -n "__fish_flowdump_needs_command" -l force -d 'With -w: replace the file if it is there'
complete -c flowdump -n "__fish_flowdump_needs_command" -l no-scale -d 'Packets and bytes as exported, not multiplied by sampling rates'
complete -c flowdump -n "__fish_flowdump_needs_command" -l scale -d 'Packets and bytes multiplied by sampling rates where they are known: the default'
complete -c flowdump -n "__fish_flowdump_needs_command" -s N -l plain -d 'Plain numbers: no `1.8 M`, protocols as numbers, durations in seconds'
complete -c flowdump -n "__fish_flowdump_needs_command" -s q -l quiet -d 'No header and no summary'
complete -c flowdump -n "__fish_flowdump_needs_command" -l no-progress -d 'Nothing about how far it is, where stderr is a terminal and it takes long'
complete -c flowdump -n "__fish_flowdump_needs_command" -s 6 -l ipv6 -d 'IPv6 addresses in full'
complete -c flowdump -n "__fish_flowdump_needs_command" -l utc -d 'Times in UTC instead of the local zone, read and printed'
complete -c flowdump -n "__fish_flowdump_needs_command" -s h -l help -d 'Print help'
complete -c flowdump -n "__fish_flowdump_needs_command" -s V -l version -d 'Print version'
complete -c flowdump -n "__fish_flowdump_needs_command" -a "top" -d 'Who talks most, now: a screen refreshed each second'
complete -c flowdump -n "__fish_flowdump_needs_command" -a "import" -d 'Stores the flows of nfcapd\'s files in files like those flowcapd writes'
complete -c flowdump -n "__fish_flowdump_needs_command" -a "replay" -d 'Sends stored flows to a collector, as NetFlow or IPFIX over UDP'
complete -c flowdump -n "__fish_flowdump_needs_command" -a "verify" -d 'Reads files whole and says whether they are sound'
complete -c flowdump -n "__fish_flowdump_using_subcommand top" -s r -l read -d 'Directory with everything below it [default: ./flows]' -r -F
complete -c flowdump -n "__fish_flowdump_using_subcommand top" -s s -l stat -d 'Statistics to begin with, as of `flowdump -s`: `srcip`, `dstport/bytes`; repeat for more' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand top" -s w -l window -d 'Seconds to sum up: 10, 60 or 300 [default: 60]' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand top" -l no-scale -d 'Packets and bytes as exported, not multiplied by sampling rates'
complete -c flowdump -n "__fish_flowdump_using_subcommand top" -l utc -d 'Times in UTC instead of the local zone'
complete -c flowdump -n "__fish_flowdump_using_subcommand top" -s h -l help -d 'Print help'
complete -c flowdump -n "__fish_flowdump_using_subcommand import" -s w -l write -d 'Directory to store flows in' -r -F
complete -c flowdump -n "__fish_flowdump_using_subcommand import" -s t -l slot -d 'Length of a slot, and so of a file, in seconds; slots are aligned to the epoch [default: 300]' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand import" -s S -l hierarchy -d 'Put files into nfdump\'s directories, as `flowcapd -S` does: 0 to 8 [default: date=%Y-%m-%d/hour=%H]' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand import" -s I -l ident -d 'Name of the collector to store [default: the one in each file]' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand import" -s q -l quiet -d 'Nothing about files that are sound'
complete -c flowdump -n "__fish_flowdump_using_subcommand import" -s h -l help -d 'Print help'
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s r -l read -d 'File, or directory with everything below it [default: ./flows]' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s R -l range -d 'Files in sequence, as of `flowdump -R`' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s t -l time -d 'Only flows completely inside a window, as of `flowdump -t`' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s c -l count -d 'Stop after N flows' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s f -l filter-file -d 'Read the filter from a file' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s H -l host -d 'Collector: a name or an address' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s p -l port -d 'Port of the collector' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s v -l netflow-version -d 'Version: 5, 9 or 10 (IPFIX)' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -l rate -d 'Flows a second; 0 is as fast as it goes [default: 20000]' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s z -l speed -d 'At the pace flows were received, N times as fast: 1 is in real time' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s S -l source -d 'Address to send from' -r
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s 4 -l ipv4 -d 'Only IPv4 addresses of the collector\'s name'
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s 6 -l ipv6 -d 'Only IPv6 addresses of the collector\'s name'
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s q -l quiet -d 'Nothing about what was sent'
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -l utc -d 'Times in UTC instead of the local zone'
complete -c flowdump -n "__fish_flowdump_using_subcommand replay" -s h -l help -d 'Print help'
complete -c flowdump -n "__fish_flowdump_using_subcommand verify" -s q -l quiet -d 'Only files that are damaged, and no sum'
complete -c flowdump -n "__fish_flowdump_using_subcommand verify" -s h -l help -d 'Print help'
