/* SPDX-License-Identifier: PostgreSQL
 * Tokens that PyJWT 2.6 signed, and the keys that verify them. The claims:
 *
 * {
 *  "sub": "42",
 *  "iss": "https://issuer.example",
 *  "aud": [
 *   "app",
 *   "other"
 *  ],
 *  "exp": 2000000000,
 *  "nbf": 1700000000,
 *  "realm_access": {
 *   "roles": [
 *    "guest",
 *    "foreman"
 *   ]
 *  },
 *  "https://a.example/role": "manager",
 *  "user_id": 7
 * }
 */
#ifndef PGHERALD_TESTS_JWT_TOKENS_H
#define PGHERALD_TESTS_JWT_TOKENS_H

/* clang-format off */
#define TOKEN_SECRET "a secret of the tests, of sixty-four bytes and not one of them l"

static const char jwks_text[] =
	"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"rsa\",\"use\":\"sig\",\"n\":\"zmA8f_qJDW_m9tt2dPcRi8p_ptug1k808"
	"fUIZ5OGndtNzq4l51kdXvjxb5IXcZd3BKxRR5NisnykRH1uazYwVfmEt6GX_T0Q5bxqyhJbA1LvfGl86bEEd"
	"9avEw9yzDPuPbqe-V5phoVaRyFcBT4sCEflbC8WOUAJYuKOqN7WwNt6SgHvcdSoXd90J8qFm-BP9IDCDTu2x"
	"qnpSbtemjtkR8TclXByg1zG6r-27wyy-k3gXD9qkDuR116NQ6SfqRzRJbNUY9y78ZM0R1Q7XT1qHjrypeFyT"
	"BqLYAOjgoZwq4VYtk4L2v5GVzB3_Z4UevS49XQNBDatdf5Dkf8jnPTbRw\",\"e\":\"AQAB\"},{\"kty\":\"EC\",\""
	"kid\":\"es256\",\"crv\":\"P-256\",\"x\":\"l7fOXWaVqO-t7kgcRkHQPe9d_iV79UdgCgwrPHV9dzQ\",\"y\":\"-U"
	"AP5t0sNIhXRTNguZVTSxKvpCTQy2PlFLfQGLOOa5s\"},{\"kty\":\"EC\",\"kid\":\"es384\",\"crv\":\"P-384\","
	"\"x\":\"0Q77KGxDb9OnnlF_SqM6baZ1jhHhlmrVWP2iC4PG82LvmRGvjPKM9TFy4NvZ5JAH\",\"y\":\"4XGA7OEj"
	"eFUijtlATjI_DFax3BVXFw7R4gS753mzWK034ehTKu_xv4AieYunL10F\"},{\"kty\":\"EC\",\"kid\":\"es512\""
	",\"crv\":\"P-521\",\"x\":\"AABtNO5mSLyu3HQfM_oy79M1QPXxb48yfbdv_lhugSbgsd6m4q6s-H_kGr2f6NKW"
	"YRm0E0BCZpJMoIqlMJXJMeB-\",\"y\":\"ATsnLjF9rDgsREBLjEiTCdJZ0nh8Z6nJ_udfPPAgpZECCkjaiYN6A"
	"a2y8e2z60iHExwEVTdozh2aDFZVYpcz-qQp\"},{\"kty\":\"OKP\",\"kid\":\"ed\",\"crv\":\"Ed25519\",\"x\":\"w"
	"tsRIY9wpv-dtgTA4KdzoxeG4mpDxieeuXs3X1uohVI\"}]}";
static const char rsa_pem[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAzmA8f/qJDW/m9tt2dPcR\n"
	"i8p/ptug1k808fUIZ5OGndtNzq4l51kdXvjxb5IXcZd3BKxRR5NisnykRH1uazYw\n"
	"VfmEt6GX/T0Q5bxqyhJbA1LvfGl86bEEd9avEw9yzDPuPbqe+V5phoVaRyFcBT4s\n"
	"CEflbC8WOUAJYuKOqN7WwNt6SgHvcdSoXd90J8qFm+BP9IDCDTu2xqnpSbtemjtk\n"
	"R8TclXByg1zG6r+27wyy+k3gXD9qkDuR116NQ6SfqRzRJbNUY9y78ZM0R1Q7XT1q\n"
	"HjrypeFyTBqLYAOjgoZwq4VYtk4L2v5GVzB3/Z4UevS49XQNBDatdf5Dkf8jnPTb\n"
	"RwIDAQAB\n"
	"-----END PUBLIC KEY-----\n";
static const char es256_certificate[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBBjCBraADAgECAgEBMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAXQwIBcNMjYw\n"
	"MTAxMDAwMDAwWhgPMjA1NjAxMDEwMDAwMDBaMAwxCjAIBgNVBAMMAXQwWTATBgcq\n"
	"hkjOPQIBBggqhkjOPQMBBwNCAASXt85dZpWo763uSBxGQdA9713+JXv1R2AKDCs8\n"
	"dX13NPlAD+bdLDSIV0UzYLmVU0sSr6Qk0Mtj5RS30BizjmubMAoGCCqGSM49BAMC\n"
	"A0gAMEUCIACRWRp3gayZj9OpHxoqRQiZ51JLgRjU8y0j7t8jasKuAiEA4ov48Z8n\n"
	"DmPglQR17RwGMDcKLU1XJnHfkxt33h5H/lk=\n"
	"-----END CERTIFICATE-----\n";
static const char weak_pem[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDjsnTjsscGRYj6SPodL4U6LPx6\n"
	"i4zoYC1VDeS7/mXZ4/9svYi8jWl+Tue4JyMSTdPwPzN5lGuPzlGYcBAs8wANtTk9\n"
	"L6P3QLP8/HAP42ePtXt4YtR2MgsSK2iTeWYzGQj5VzdmeFBiEKQV+8stcOJBtERK\n"
	"YtqqQ+ZgK5lQA85eSwIDAQAB\n"
	"-----END PUBLIC KEY-----\n";

static const struct {
	const char *alg, *token;
} tokens[] = {
	{"HS256",
	 "eyJhbGciOiJIUzI1NiIsImtpZCI6ImhzIiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHBz"
	 "Oi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmYi"
	 "OjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHBz"
	 "Oi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.DGBTueGHEY5x1WL1dSXyn3RshB2A"
	 "7vcZrSe8LOZHyI8"},
	{"HS384",
	 "eyJhbGciOiJIUzM4NCIsImtpZCI6ImhzIiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHBz"
	 "Oi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmYi"
	 "OjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHBz"
	 "Oi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.ojLZNGsKZVoHETgkbfoqLYsq6IUn"
	 "FIgDB80QIwyhBYu75oqymDU09Qlzn8J81AZP"},
	{"HS512",
	 "eyJhbGciOiJIUzUxMiIsImtpZCI6ImhzIiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHBz"
	 "Oi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmYi"
	 "OjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHBz"
	 "Oi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.2nSbmyk9fMLdJe0S6wVlXGu4R8tg"
	 "BJCEmcX99R1mDge8khTfAYea4ZXEounPl9kKx28R_ik_ADr71HC7cESmsg"},
	{"RS256",
	 "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHB"
	 "zOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmY"
	 "iOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHB"
	 "zOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.B4aqxoLjFYH3Vfi_3DYFGIcJF08"
	 "5CI-P4VCpOZ0ySmR4lBhD5F-sDgcqx7wB6bxh_Sg3A6125uWaEx5onCPRGQFdgq9sX1p8TbxA1aZinmEQCW3"
	 "Yvd1hg7XSia3de-_fHWczSVzhRidrHPgz7E39YeB0VvgF2giW6VHlpdNivfyFq2nheAZls0M5KfYGKhq2DMu"
	 "EqhC7m2XRA5xjs4o5q_5wZfq6ExoWXofOY4q98Gbv_0uk_h2e77YOcMX5DSF0CMHTHHvTxs3MPVvfJljqrJk"
	 "xmrAownwxa6fS4vrsEXWwCXTEMfJZAUIcYHtoQ4X40EDa9MwIHrCI5tSB29A7Ig"},
	{"RS384",
	 "eyJhbGciOiJSUzM4NCIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHB"
	 "zOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmY"
	 "iOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHB"
	 "zOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.cnqKZqHHwlRXHQ7PY5-Ds57UDyv"
	 "3ZjcCPHURjbFP1KP1v4JLZyqMLYZduUt9h6LKsype-cqLYJOwelnMV-1pI0V2p6ZETiG_xEtbZ0bMXP2EIsu"
	 "v0rAeD91XqRDkYRjxM-iWMSF3m63PxUg8X_3swlN23vPznP24VbtKR3D8_rev-L7RPjoJnbF1cBTe4WUyUQ5"
	 "8fH-DVdHr48oQ5i_3SpNQ3aiq3_UnsVBmSzAaV_shGcA1jD1U1ozpJpbfO-Ln45Qn971WlnsUGKFqAv0eKJ6"
	 "795E4SD9ca2vnGdV9t_ZhfKLPSqZurZJnNWsm386fzpouYIv8j8pGL9PNrkNlLQ"},
	{"RS512",
	 "eyJhbGciOiJSUzUxMiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHB"
	 "zOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmY"
	 "iOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHB"
	 "zOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.wWyoxFc4-cinycXkCELF970snXf"
	 "ZmIVdrgT9Ay-Y8waFFlw2FEwcNVx4rAgOzNL9eutWHnAnVwLp-kER-RQBWr0GbOokTVW99dRDEN3TUQ1E2mx"
	 "gPhXes1kI7STQ41NYmYZm7p58YVDKoYFdFBDwKkQeiiBV-vTLBVLUlVRyK1loK0G0w_WvLTDishmfCv4pm_l"
	 "_1CVWHiNFQke-Ta9wlPaUpFlAWCp4SNJlMZOopdOokdIXgt6-mUsddvqaMHfIAPYuMzmAhdQU9E7eXKuMcym"
	 "FlmgF3xugdgg_B248iXADueQnx77IvWPC-NT1SJrEs0xmWRCpvrTKMeawL9-09g"},
	{"PS256",
	 "eyJhbGciOiJQUzI1NiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHB"
	 "zOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmY"
	 "iOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHB"
	 "zOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.TSlCdzPC2ekPKUXhgZeFkujzFzS"
	 "9idJ8ohh64WIZlQEv1UK_5Jjy83PS72wmP_cdzhaHkKVPxS-Kf7o1gpRHiKCAIquQ5PuCueRu97NCT20_TkH"
	 "hK_UE4F-uD68dGAQWnFvVw2b9e7uHzvI3JwqIKopO3_4f4ghBcG1YYwiz_sCn5NKW6rGXARFpw-WA5qnc6YQ"
	 "LKcXH6xG6h92vdxK6Pn93nvLH_lptNwC3POJs2V4YJifaexKM9tJe94PR8C2qTmZxlrLYgckRf94Kno-LZNI"
	 "iZYgtbP9vm6TEB0ninLVtXs9j5HhHtCzxGhdox4uv70hB-71CLPXjSyddJ8vFjw"},
	{"PS384",
	 "eyJhbGciOiJQUzM4NCIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHB"
	 "zOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmY"
	 "iOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHB"
	 "zOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.X4cB7_ym9WjWrBuSeZlLUE7j4ee"
	 "qEJE7zVsFCjhBv-MnoTWGkkTefhvYMH-nuZvCVQIGUI2fJYydi4b_ugXc1rQU-OIOYScKl-w64B-PogB5lai"
	 "KMFMoqMsu1-wmnhG_Z_9gZlXvbPQeRT2kfaQOjSI6gNw6PPJBDBv23XjxIAITAopYeS6AoYMQNLAEAndoO1v"
	 "J9q0nQxHqsbRhxU5171K9SfJnzJhV4kDOGRdRNq0PzhgpI4tfSRFni27czccgWTz0FZ7TwYMP3c20263r_yX"
	 "7Y85TFNo-Ruy2HHYc9h-UO-MXQV0jH4Tt2eETOZySxjb8TSuG1Nu_YDF4B7iYPw"},
	{"PS512",
	 "eyJhbGciOiJQUzUxMiIsImtpZCI6InJzYSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHB"
	 "zOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmY"
	 "iOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHB"
	 "zOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.BNGFYBmhojVpt0EW7BajX5N9oZB"
	 "unmyX9vgY0xYCtKKaKLJhPyG1lNYTMdkDlMWyU5YfD_-_v-xRxUq8v4Qb8q0qhB4AfL8KKduw5ezp2D47Ov6"
	 "hHgb4HtZSSZ1FUmCgDDB0C8WmVeXP3gyg_PUxEllOvM0waxd4gmIx2FXVm7Qp3k0Nwrin8UWmTbuaoTxE9fX"
	 "VQSijpZgj4vgezkc_DLextAsj8MZ7iF9s13Nm-lEUPTFt2d-ewhpgLOPahwCQqQ_U02UZzWtco22OCLxo2XU"
	 "nh9emqg-m3O4lIbJEdVFemycSW0gGGB0vdwdlrs1SEUxJ-9buHTZCVvTp-_iKvw"},
	{"ES256",
	 "eyJhbGciOiJFUzI1NiIsImtpZCI6ImVzMjU2IiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImlzcyI6Imh0"
	 "dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJu"
	 "YmYiOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0"
	 "dHBzOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.tSUfMD1Okz8lDY65ocLbp8qq"
	 "6SsMGFBHLXbEJGb4DIVVmpG7F-Y454k25pyS8kAfrPHLHxS89mrygeLjSpAlXw"},
	{"ES384",
	 "eyJhbGciOiJFUzM4NCIsImtpZCI6ImVzMzg0IiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImlzcyI6Imh0"
	 "dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJu"
	 "YmYiOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0"
	 "dHBzOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.pwSuBsyujHmFRM1MYvXX7Xs6"
	 "hVJS1nZ6pBOtd4ii3jLktbCWqpK9pbCJYVw5bPRfSgDqnryw9-oRo3aLVT8zmt9o-ijCso1Ks9xiVMAxzHVb"
	 "Esy4TJA_F-BGhzq51emk"},
	{"ES512",
	 "eyJhbGciOiJFUzUxMiIsImtpZCI6ImVzNTEyIiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImlzcyI6Imh0"
	 "dHBzOi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJu"
	 "YmYiOjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0"
	 "dHBzOi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.ASTIk4bKzKoQkrcQBxfL4UFG"
	 "LM5bTLbZhSyxNWqgMvNT5uMylcXMneOmqsHQ5QzceYERYNcxzv8NPHMso5CLz9pUARItQjmPzpHK4Ov7q__v"
	 "AtehCivTs9MTzIYkyKpTyMEqi5Ak7LtYr9mqAtbeRmfPDenac0oRJFRlH6eMBVdBgY39"},
	{"EdDSA",
	 "eyJhbGciOiJFZERTQSIsImtpZCI6ImVkIiwidHlwIjoiSldUIn0.eyJzdWIiOiI0MiIsImlzcyI6Imh0dHBz"
	 "Oi8vaXNzdWVyLmV4YW1wbGUiLCJhdWQiOlsiYXBwIiwib3RoZXIiXSwiZXhwIjoyMDAwMDAwMDAwLCJuYmYi"
	 "OjE3MDAwMDAwMDAsInJlYWxtX2FjY2VzcyI6eyJyb2xlcyI6WyJndWVzdCIsImZvcmVtYW4iXX0sImh0dHBz"
	 "Oi8vYS5leGFtcGxlL3JvbGUiOiJtYW5hZ2VyIiwidXNlcl9pZCI6N30.UW_77IOBjzCaQnX2Itqp5M2FG0yx"
	 "icdzFCRjY89uv3BVhxhAgNSxCODHSX7-bfo61Jl-OOG9oOL_mAixyiAbDQ"},
};
/* clang-format on */
enum { N_TOKENS = sizeof(tokens) / sizeof(*tokens) };

#endif
