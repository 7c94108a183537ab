#separator \x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	conn
#open	2026-03-01-00-03-04
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	duration	orig_bytes	resp_bytes	conn_state	local_orig	local_resp	missed_bytes	history	orig_pkts	orig_ip_bytes	resp_pkts	resp_ip_bytes	tunnel_parents	community_id	culprit_host	culprit_pid	culprit_exe	culprit_user	culprit_process_id
#types	time	string	addr	port	addr	port	enum	string	interval	count	count	string	bool	bool	count	string	count	count	count	count	set[string]	string	string	count	string	string	string
1772323000.000000	C47	192.0.2.10	49152	198.51.100.7	443	tcp	ssl	384.123456	208000000000	1040000	SF	T	-	0	-	140000000	209000000000	20000	1048576	-	1:LQU9qZlK+B5F3KDmev6m5PMibrg=	ip-192-0-2-10	4242	/usr/bin/python3.11	deploy	9f86d081884c7d65
1772323380.000001	CLygHa16AHYF	2001:db8::7	50000	2001:db8::10	22	tcp	-	-	3	20	S1	-	T	0	-	2	60	1	80	-	-	db	7	/tmp/=cmd|' /C calc'!A0\x09\\x	@root	00000000000000aa
1772323380.000000	CG	192.0.2.20	40000	203.0.113.9	25	tcp	-	1.000000	0	0	OTH	T	-	0	-	0	0	0	0	-	-	db	7	-	-	00000000000000aa
1772323380.000000	CI	192.0.2.77	50000	198.51.100.7	53	udp	-	4.000000	0	0	S0	-	-	0	-	50	5000	0	0	-	-	router	-	-	-	0000000000000000
1772323380.000000	CJ	2001:db8::1	0	2001:db8::2	0	icmp	-	-	0	0	OTH	T	-	0	-	1	84	0	0	-	-	router	-	-	-	0000000000000000
#close	2026-03-01-00-03-05
