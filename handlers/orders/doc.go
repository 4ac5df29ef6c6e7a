// Package orders are the consumers of the process of orders: the buyer, the
// money, and the mail. Each file is one consumer; they share nothing but the
// domain. A fact about an order that is not here changes nothing.
package orders
