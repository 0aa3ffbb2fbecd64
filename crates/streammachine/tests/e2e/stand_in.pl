#!/usr/bin/perl
# Stands in for a server that can hand over: what a runner sees of one, and nothing else. Its directory is $STAND_IN: the
# process that serves is in `serving`, and where there is a file `broken` none can start.
use strict;
use warnings;
use Socket;

my $directory = $ENV{STAND_IN};
$SIG{TERM} = sub { exit 0 };
$SIG{USR1} = sub { exit 0 };
exit 7 if -e "$directory/broken";

my $old;
if (open(my $file, '<', "$directory/serving")) {
    $old = <$file>;
}
open(my $file, '>', "$directory/new") or die;
print $file "$$";
close $file;
rename("$directory/new", "$directory/serving") or die;

socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die;
send($socket, "READY=1\n", 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die;
# The old one has given everything away.
kill('USR1', $old) if defined $old;
# Its standard input ends with the runner.
while (sysread(STDIN, my $byte, 1)) { }
