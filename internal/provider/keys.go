package provider

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Keys seals what is secret of connections, and of account directories outside, with the server's secret key (32 bytes or
// more).
type Keys struct {
	seal cipher.AEAD
	mac  []byte
}

// NewKeys derives the working keys from the server's secret.
func NewKeys(secret []byte) (*Keys, error) {
	if len(secret) < 32 {
		return nil, errors.New("provider: the secret key must have at least 32 bytes")
	}
	sealKey, err := hkdf.Key(sha256.New, secret, nil, "monterey provider seal", 32)
	if err != nil {
		return nil, fmt.Errorf("provider: derive: %w", err)
	}
	macKey, err := hkdf.Key(sha256.New, secret, nil, "monterey webhook mac", 32)
	if err != nil {
		return nil, fmt.Errorf("provider: derive: %w", err)
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, fmt.Errorf("provider: derive: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("provider: derive: %w", err)
	}
	return &Keys{seal: seal, mac: macKey}, nil
}

// Seal encrypts a provider's API key, or another secret that has to be read again; sealing twice gives different bytes.
func (k *Keys) Seal(secret string) []byte { return k.seal.Seal(nil, nil, []byte(secret), nil) }

// Open is the inverse of Seal. It fails when the server's secret is another one than it was sealed with.
func (k *Keys) Open(sealed []byte) (string, error) {
	plain, err := k.seal.Open(nil, nil, sealed, nil)
	if err != nil {
		return "", errors.New("provider: what is stored was sealed with another secret key")
	}
	return string(plain), nil
}

// WebhookMAC is under what a webhook key is found. Looking a key up by its MAC takes the same time whether the key is
// nearly right or altogether wrong, which is what comparing in constant time is for.
func (k *Keys) WebhookMAC(webhookKey string) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write([]byte(webhookKey))
	return h.Sum(nil)
}

// NewSecret makes a secret for NewKeys.
func NewSecret() []byte {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return b[:]
}
