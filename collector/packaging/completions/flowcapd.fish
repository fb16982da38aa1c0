# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_flowcapd_global_optspecs
    string join \n c/config= p/port= b/bind= J/join= B/buffer= w/write-dir= t/slot= S/hierarchy= I/ident= n/source= M/sources-dir= z/compression= s/sampling= allow= template-lifetime= session-idle= tcp= tls= tls-cert= tls-key= tls-ca= tls-peer= tls-no-client-auth max-connections= max-connections-per-address= max-handshakes= R/repeat= x/exec= max-commands= max-age= max-size= min-free= u/user= g/group= P/pidfile= http= f/read-pcap= E/echo v/verbose h/help V/version
end

function __fish_flowcapd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_flowcapd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_flowcapd_using_subcommand
    set -l cmd (__fish_flowcapd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c flowcapd -n "__fish_flowcapd_needs_command" -s c -l config -d 'Read settings from this TOML file; flags win over it' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s p -l port -d 'Listen on this UDP port; repeatable [default: 2055 4739 9995 9996]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s b -l bind -d 'Listen on this local address; repeatable [default: all, IPv4 and IPv6]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s J -l join -d 'Receive what is sent to this multicast group, on the interface of this name or IPv4 address; repeatable [default interface: as routes say]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s B -l buffer -d 'Receive buffer of each UDP socket; beyond net.core.rmem_max it needs CAP_NET_ADMIN [default: 16777216, or what the kernel grants]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s w -l write-dir -d 'Write files below this directory; `-l` is the same [default: flows]' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s t -l slot -d 'Length of a slot, and so of a file, in seconds; slots are aligned to the epoch [default: 300]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s S -l hierarchy -d 'Put files into nfdump\'s directories, UTC: 0 none, 1 %Y/%m/%d, 2 %Y/%m/%d/%H, 3 %Y/%W/%u, 4 %Y/%W/%u/%H, 5 %Y/%j, 6 %Y/%j/%H, 7 %Y-%m-%d, 8 %Y-%m-%d/%H [default: date=%Y-%m-%d/hour=%H]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s I -l ident -d 'Name of this collector, written into every file [default: none]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s n -l source -d 'Write what these addresses send to a tree of their own; repeatable, the first that matches is taken. Without `-w` and `-M`, take datagrams from nobody else' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s M -l sources-dir -d 'Write what each other exporter sends to a directory of its own below this one, named by its address' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s z -l compression -d 'Compress files: zstd, zstd:LEVEL, lz4 or none [default: zstd, level 1]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s s -l sampling -d 'Sampling rate of exporters that tell none; a negative one overrides what they tell' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l allow -d 'Take datagrams from these addresses only; repeatable [default: from all]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l template-lifetime -d 'A template expires when it has not come again for so long [default: three of its refresh intervals, at least 1800]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l session-idle -d 'Forget an exporter that has been silent for so long [default: 604800, a week; with `-f` never]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l tcp -d 'Receive IPFIX over TCP, too; repeatable [default port: 4739]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l tls -d 'Receive IPFIX over TLS, too; repeatable [default port: 4740]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l tls-cert -d 'Certificate of this collector, and those between it and its issuer: PEM' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l tls-key -d 'Key of that certificate: PEM' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l tls-ca -d 'Take exporters with a certificate of these issuers only: PEM' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l tls-peer -d 'Of those, take only whose certificate has this host name or address as a subject alternative name; repeatable [default: all]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l max-connections -d 'TCP and TLS connections open at a time [default: 2048]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l max-connections-per-address -d 'Those of one address [default: 64]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l max-handshakes -d 'TLS handshakes under way at a time [default: 64]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s R -l repeat -d 'Send every datagram on to this collector, too, from its exporter\'s address where CAP_NET_RAW allows that; repeatable [default port: 9995]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s x -l exec -d 'Run this command for each file that has appeared, without a shell: %f is the file below %d, %t and %u the start of its slot (202611211230, and seconds since 1970), %i the ident' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l max-commands -d 'Of these commands, run so many at a time [default: 1]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l max-age -d 'Delete files older than this, by their names: `30d`' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l max-size -d 'Delete the oldest files of a tree that takes more disk space than this: `500GB`' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l min-free -d 'Delete the oldest files while less of the disk is free than this: `20GB` or `10%`' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s u -l user -d 'Become this user once the sockets are bound' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s g -l group -d 'Become a member of this group, and of no other [default: that of the user]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s P -l pidfile -d 'Write the number of the process to this file once it collects, and remove it at the end' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l http -d 'Serve metrics, health and status over HTTP; on 127.0.0.1 unless an address is given [default: off]' -r
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s f -l read-pcap -d 'Decode a pcap or pcapng file, or one of IPFIX messages, instead of listening' -r -F
complete -c flowcapd -n "__fish_flowcapd_needs_command" -l tls-no-client-auth -d 'Take exporters without a certificate: anyone may then send'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s E -l echo -d 'Print every flow record on stdout as it is decoded'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s v -l verbose -d 'Say more; twice: say everything'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -s V -l version -d 'Print version'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -f -a "check" -d 'Say what is wrong with the configuration, or what it comes to, and end'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -f -a "config" -d 'Show the configuration'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -f -a "compact" -d 'Make one file, large and well ordered, of those of each hour that is over, and end'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -f -a "expire" -d 'Delete the files that may go by `--max-age`, `--max-size` and `--min-free`, and end'
complete -c flowcapd -n "__fish_flowcapd_needs_command" -f -a "status" -d 'Ask the collector that runs, found by `-w`, `-c` or `--http`, how it goes'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand check" -s h -l help -d 'Print help'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand config; and not __fish_seen_subcommand_from dump example" -s h -l help -d 'Print help'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand config; and not __fish_seen_subcommand_from dump example" -f -a "dump" -d 'Show what holds as a file, each value with where it comes from'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand config; and not __fish_seen_subcommand_from dump example" -f -a "example" -d 'Show a file with every key, its meaning and its default'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand config; and __fish_seen_subcommand_from dump" -s h -l help -d 'Print help'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand config; and __fish_seen_subcommand_from example" -s h -l help -d 'Print help'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand compact" -l dry-run -d 'Say which hours would be compacted, and change nothing'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand compact" -s h -l help -d 'Print help'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand expire" -l dry-run -d 'Say what would be deleted, and delete nothing'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand expire" -s h -l help -d 'Print help'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand status" -l json -d 'As JSON, with every exporter and counter'
complete -c flowcapd -n "__fish_flowcapd_using_subcommand status" -s h -l help -d 'Print help'
