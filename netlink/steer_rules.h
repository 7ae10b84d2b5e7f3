/* netlink/steer_rules.h - the rules that lead ICE's checks; inside of steer.c and its tests. */
#pragma once

#include <stdint.h>

struct nftnl_rule;
struct steer_config;

#define STEER_SENT "sent" /* transaction id : port */
#define STEER_UFRAGS "ufrags" /* ufrag : port */

/* Each makes a new rule without table and chain, freed by nftnl_rule_free. */

/* meta skuid UID udp sport FIRST-LAST goto CHAIN */
struct nftnl_rule *steer_rule_ours(const struct steer_config *config, const char *chain);
/* meta mark 0 meta mark set MARK */
struct nftnl_rule *steer_rule_mark(uint32_t mark);
/* @th,64,16 0x0001 update @sent { @th,128,96 : udp sport } */
struct nftnl_rule *steer_rule_remember(void);
/* @th,64,16 & 0xfeef == 0x0001 udp sport set PORT */
struct nftnl_rule *steer_rule_leave(uint16_t port);
/* oifname IFNAME meta skuid UID udp sport PORT @th,64,16 & 0xfeef == 0x0001 drop */
struct nftnl_rule *steer_rule_keep_out(const struct steer_config *config);

/* iifname != IFNAME udp dport PORT @th,64,16 & 0xfeef == 0x0001 goto CHAIN */
struct nftnl_rule *steer_rule_arrive(const struct steer_config *config, const char *chain);
/* @th,64,16 & 0x0100 == 0x0100 udp dport set @th,128,96 map @sent goto CHAIN */
struct nftnl_rule *steer_rule_answer(const char *chain);
/* @th,OFFSET,16 6 udp dport set @th,OFFSET+32,64 map @ufrags goto CHAIN: `offset` in bytes from the message's start,
 * where USERNAME is the first attribute or one of the next */
struct nftnl_rule *steer_rule_request(uint32_t offset, const char *chain);
/* @th,64,16 0x0011 drop */
struct nftnl_rule *steer_rule_drop_indication(void);
/* drop */
struct nftnl_rule *steer_rule_drop(void);
/* udp dport FROM-LAST queue flags bypass to QUEUE */
struct nftnl_rule *steer_rule_queue(const struct steer_config *config);
